# cmake --install: the library, its headers, the program, the CMake package behind find_package(gqe CONFIG), and gqe.pc. Nothing
# installed holds an absolute path, so a prefix can be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gqe)
set(package_build_dir ${CMAKE_CURRENT_BINARY_DIR}/package)

install(TARGETS gqe EXPORT gqe-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/gqe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
file(RELATIVE_PATH prefix_to_lib ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH prefix_to_include ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})

if(TARGET gqe_program)
  file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
  set_target_properties(gqe_program PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_lib}")
  install(TARGETS gqe_program)
endif()

install(EXPORT gqe-targets NAMESPACE gqe:: DESTINATION ${package_dir})
configure_package_config_file(cmake/gqe-config.cmake.in ${package_build_dir}/gqe-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${package_build_dir}/gqe-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${package_build_dir}/gqe-config.cmake ${package_build_dir}/gqe-config-version.cmake DESTINATION ${package_dir})

# What the exported target of a static library says to CMake, in pkg-config's words.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
# -pthread always: a library built where libc has the threads may be linked where it does not.
set(private_libs -pthread m ${CMAKE_DL_LIBS})
list(TRANSFORM private_libs PREPEND -l REGEX "^[^-]")
list(JOIN private_libs " " private_libs)
if(BUILD_SHARED_LIBS)
  set(shared_define " -DGQE_SHARED")
endif()
configure_file(cmake/gqe.pc.in ${package_build_dir}/gqe.pc @ONLY)
install(FILES ${package_build_dir}/gqe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
