# The Vulkan drivers that the tests run on, and registering a test for each. The drivers need no GPU: Mesa's lavapipe, and
# SwiftShader from the driver lab, from Chromium, or from where tools/setup.sh put it.
option(GQE_TEST_SYSTEM_DEVICE "run the device tests also on the device that 'auto' chooses on this machine" OFF)
option(GQE_TEST_VALIDATION "run the device tests under the Khronos validation layer" ON)

set(lab $ENV{GQE_LAB})
if(NOT lab)
  set(lab /var/lib/gqe-lab)
endif()

# Sets `variable` to the first file that exists among the patterns, or to "".
function(gqe_find_driver variable)
  set(${variable} "" PARENT_SCOPE)
  foreach(pattern ${ARGN})
    file(GLOB found ${pattern})
    if(found)
      list(GET found 0 first)
      set(${variable} ${first} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

gqe_find_driver(GQE_LAVAPIPE /usr/share/vulkan/icd.d/lvp_icd*.json /etc/vulkan/icd.d/lvp_icd*.json
                ${lab}/lavapipe-22/lvp_icd.json)
gqe_find_driver(GQE_SWIFTSHADER ${lab}/swiftshader/vk_swiftshader_icd.json
                ${PROJECT_SOURCE_DIR}/.cache/swiftshader/vk_swiftshader_icd.json /usr/lib/chromium/vk_swiftshader_icd.json)
message(STATUS "test driver lavapipe: ${GQE_LAVAPIPE}")
message(STATUS "test driver SwiftShader: ${GQE_SWIFTSHADER}")

# Layers of the machine other than validation have no place in a test.
set(common_environment XDG_RUNTIME_DIR=/tmp VK_LOADER_LAYERS_DISABLE=~implicit~ ASAN_OPTIONS=detect_leaks=1)

function(gqe_register name binary label timeout)
  add_test(NAME ${name}:${label} COMMAND ${binary})
  set_tests_properties(${name}:${label} PROPERTIES LABELS ${label} TIMEOUT ${timeout} ENVIRONMENT "${common_environment};${ARGN}")
endfunction()

function(gqe_add_host_test name binary)
  gqe_register(${name} ${binary} host 300)
endfunction()

function(gqe_add_device_test name binary)
  set(validation "")
  if(GQE_TEST_VALIDATION)
    set(validation GQE_TEST_VALIDATION=1)
  endif()
  if(GQE_LAVAPIPE)
    set(environment VK_ICD_FILENAMES=${GQE_LAVAPIPE} ${validation})
    gqe_register(${name} ${binary} lavapipe 600 ${environment})
    gqe_register(${name} ${binary} lavapipe-scalar 600 ${environment} GQE_TEST_PATH=scalar GQE_TEST_SCALE=small)
  endif()
  if(GQE_SWIFTSHADER)
    gqe_register(${name} ${binary} swiftshader 600 VK_ICD_FILENAMES=${GQE_SWIFTSHADER} ${validation} GQE_TEST_SCALE=small)
  endif()
  if(GQE_TEST_SYSTEM_DEVICE)
    gqe_register(${name} ${binary} system 600 ${validation})
  endif()
  gqe_register(${name} ${binary} reference 600 GQE_DEVICE=reference GQE_TEST_SCALE=small)
endfunction()

if(NOT GQE_LAVAPIPE AND NOT GQE_SWIFTSHADER AND NOT GQE_TEST_SYSTEM_DEVICE)
  add_test(NAME a_vulkan_driver_exists
           COMMAND ${CMAKE_COMMAND} -E echo "no Vulkan driver to test on: install mesa-vulkan-drivers or run tools/setup.sh")
  set_tests_properties(a_vulkan_driver_exists PROPERTIES WILL_FAIL ON)
endif()
