# Every SPIR-V module of the library: one row is (output name, source, defines). Makes GQE_SHADER_HEADERS and the target gqe_shaders;
# each header holds `const uint32_t gqe_spirv_<name>[]`.
find_program(GQE_GLSLANG glslangValidator REQUIRED)
set(GQE_SHADER_DIR ${CMAKE_CURRENT_BINARY_DIR}/spirv)
file(MAKE_DIRECTORY ${GQE_SHADER_DIR})
set(GQE_SHADER_HEADERS "")

function(gqe_shader name source)
  set(output ${GQE_SHADER_DIR}/${name}.h)
  list(TRANSFORM ARGN PREPEND -D)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${GQE_GLSLANG} --quiet -V --target-env vulkan1.2 -I${CMAKE_CURRENT_SOURCE_DIR}/shaders ${ARGN}
            --depfile ${output}.d --vn gqe_spirv_${name} -o ${output} ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${source}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${source}
    DEPFILE ${output}.d
    COMMENT "SPIR-V ${name}"
    VERBATIM)
  set(GQE_SHADER_HEADERS ${GQE_SHADER_HEADERS} ${output} PARENT_SCOPE)
endfunction()

include(${CMAKE_CURRENT_SOURCE_DIR}/shaders/modules.cmake)
add_custom_target(gqe_shaders DEPENDS ${GQE_SHADER_HEADERS})
