# The target `docs`: the reference from the headers, with the guides beside it, as HTML in the build folder's docs/html. A warning, such
# as a public name without a comment, is an error. Not built by default.
find_package(Doxygen QUIET)
if(NOT DOXYGEN_FOUND)
  return()
endif()
set(DOXYGEN_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/docs)
set(DOXYGEN_FILTER_PATTERNS "*.h=sed -E -f '${CMAKE_CURRENT_SOURCE_DIR}/cmake/doxygen_headers.sed'"
                            "*.md=sed -E -f '${CMAKE_CURRENT_SOURCE_DIR}/cmake/doxygen_pages.sed'")
set(DOXYGEN_IMAGE_PATH docs/images)
set(DOXYGEN_HTML_EXTRA_FILES docs/report.schema.json)
set(DOXYGEN_PROJECT_BRIEF ${PROJECT_DESCRIPTION})
set(DOXYGEN_USE_MDFILE_AS_MAINPAGE README.md)
set(DOXYGEN_STRIP_FROM_INC_PATH include)
set(DOXYGEN_OPTIMIZE_OUTPUT_FOR_C YES)
set(DOXYGEN_TYPEDEF_HIDES_STRUCT YES)
set(DOXYGEN_JAVADOC_AUTOBRIEF YES)
set(DOXYGEN_SORT_MEMBER_DOCS NO)
set(DOXYGEN_MACRO_EXPANSION YES)
set(DOXYGEN_EXPAND_ONLY_PREDEF YES)
set(DOXYGEN_PREDEFINED GQE_API=)
set(DOXYGEN_HAVE_DOT NO)
set(DOXYGEN_HTML_TIMESTAMP NO)
set(DOXYGEN_QUIET YES)
set(DOXYGEN_WARN_NO_PARAMDOC NO)
set(DOXYGEN_WARN_AS_ERROR FAIL_ON_WARNINGS)
doxygen_add_docs(
  docs
  include/gqe
  README.md
  CONTRIBUTING.md
  docs/architecture.md
  docs/comparing.md
  docs/drivers.md
  docs/embedding.md)
