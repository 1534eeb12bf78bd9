# Every SPIR-V module of the library as a C header that holds `const uint32_t gqe_spirv_<name>[]`: compiled from shaders/ with glslang,
# or, without a shader compiler or with too old a one, taken from shaders/prebuilt/. Sets GQE_SHADER_DIR and GQE_SHADER_HEADERS, makes the target
# gqe_shaders.
option(GQE_PREBUILT_SHADERS "take the SPIR-V in shaders/prebuilt instead of compiling it (needs no glslang)" OFF)

set(GQE_SHADER_HEADERS "")
if(GQE_PREBUILT_SHADERS)
  set(GQE_SHADER_DIR ${CMAKE_CURRENT_SOURCE_DIR}/shaders/prebuilt)
else()
  find_program(GQE_GLSLANG glslangValidator REQUIRED)
  set(GQE_SHADER_DIR ${CMAKE_CURRENT_BINARY_DIR}/spirv)
  file(MAKE_DIRECTORY ${GQE_SHADER_DIR})
  # Debian 12's glslang 12 rejects the extension, Debian 13's 15 takes it.
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/probe.comp)
  file(WRITE ${probe} "#version 460\n#extension GL_NV_cooperative_matrix2 : require\nvoid main() {}\n")
  execute_process(COMMAND ${GQE_GLSLANG} --quiet -V --target-env vulkan1.3 ${probe} -o ${probe}.spv
                  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  set(GQE_GLSLANG_KNOWS_MATRICES TRUE)
  if(failed)
    set(GQE_GLSLANG_KNOWS_MATRICES FALSE)
    message(STATUS "${GQE_GLSLANG} knows no cooperative matrices: those kernels are taken from shaders/prebuilt")
  endif()
endif()

function(gqe_shader name source)
  set(output ${GQE_SHADER_DIR}/${name}.h)
  set(GQE_SHADER_HEADERS ${GQE_SHADER_HEADERS} ${output} PARENT_SCOPE)
  if(GQE_PREBUILT_SHADERS)
    return()
  endif()
  list(TRANSFORM ARGN PREPEND -D)
  set(environment vulkan1.2)
  if(name MATCHES "_matrix2_")
    set(environment vulkan1.3) # VK_NV_cooperative_matrix2 needs SPIR-V 1.6
  endif()
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${GQE_GLSLANG} --quiet -V --target-env ${environment} -I${CMAKE_CURRENT_SOURCE_DIR}/shaders ${ARGN}
            --depfile ${output}.d --vn gqe_spirv_${name} -o ${output} ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${source}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${source}
    DEPFILE ${output}.d
    COMMENT "SPIR-V ${name}"
    VERBATIM)
endfunction()

# A module that an older shader compiler cannot make is copied from shaders/prebuilt, which tools/driver-lab/prebuilt keeps current.
function(gqe_matrix_shader name)
  if(GQE_PREBUILT_SHADERS OR GQE_GLSLANG_KNOWS_MATRICES)
    gqe_shader(${name} ${ARGN})
  else()
    set(output ${GQE_SHADER_DIR}/${name}.h)
    set(prebuilt ${CMAKE_CURRENT_SOURCE_DIR}/shaders/prebuilt/${name}.h)
    add_custom_command(OUTPUT ${output} COMMAND ${CMAKE_COMMAND} -E copy ${prebuilt} ${output} DEPENDS ${prebuilt} VERBATIM)
    set(GQE_SHADER_HEADERS ${GQE_SHADER_HEADERS} ${output})
  endif()
  set(GQE_SHADER_HEADERS ${GQE_SHADER_HEADERS} PARENT_SCOPE)
endfunction()

include(${CMAKE_CURRENT_SOURCE_DIR}/shaders/modules.cmake)
add_custom_target(gqe_shaders DEPENDS ${GQE_SHADER_HEADERS})
