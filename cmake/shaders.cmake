# Every SPIR-V module of the library as a C header that holds `const uint32_t gqe_spirv_<name>[]`: compiled from shaders/ with glslang,
# or, without a shader compiler, taken from shaders/prebuilt/. Sets GQE_SHADER_DIR and GQE_SHADER_HEADERS, makes the target
# gqe_shaders.
option(GQE_PREBUILT_SHADERS "take the SPIR-V in shaders/prebuilt instead of compiling it (needs no glslang)" OFF)

set(GQE_SHADER_HEADERS "")
if(GQE_PREBUILT_SHADERS)
  set(GQE_SHADER_DIR ${CMAKE_CURRENT_SOURCE_DIR}/shaders/prebuilt)
else()
  find_program(GQE_GLSLANG glslangValidator REQUIRED)
  set(GQE_SHADER_DIR ${CMAKE_CURRENT_BINARY_DIR}/spirv)
  file(MAKE_DIRECTORY ${GQE_SHADER_DIR})
endif()

function(gqe_shader name source)
  set(output ${GQE_SHADER_DIR}/${name}.h)
  set(GQE_SHADER_HEADERS ${GQE_SHADER_HEADERS} ${output} PARENT_SCOPE)
  if(GQE_PREBUILT_SHADERS)
    return()
  endif()
  list(TRANSFORM ARGN PREPEND -D)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${GQE_GLSLANG} --quiet -V --target-env vulkan1.2 -I${CMAKE_CURRENT_SOURCE_DIR}/shaders ${ARGN}
            --depfile ${output}.d --vn gqe_spirv_${name} -o ${output} ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${source}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${source}
    DEPFILE ${output}.d
    COMMENT "SPIR-V ${name}"
    VERBATIM)
endfunction()

include(${CMAKE_CURRENT_SOURCE_DIR}/shaders/modules.cmake)
add_custom_target(gqe_shaders DEPENDS ${GQE_SHADER_HEADERS})
