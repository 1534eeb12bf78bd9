# The Vulkan drivers that the tests run on, and registering a test for each. The drivers need no GPU: Mesa's lavapipe, and
# SwiftShader from the driver lab or from Chromium.
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
gqe_find_driver(GQE_SWIFTSHADER ${lab}/swiftshader/vk_swiftshader_icd.json /usr/lib/chromium/vk_swiftshader_icd.json)
message(STATUS "test driver lavapipe: ${GQE_LAVAPIPE}")
message(STATUS "test driver SwiftShader: ${GQE_SWIFTSHADER}")

# Layers of the machine other than validation have no place in a test, and its caches are not touched.
set(common_environment XDG_RUNTIME_DIR=/tmp VK_LOADER_LAYERS_DISABLE=~implicit~ XDG_CACHE_HOME=${CMAKE_CURRENT_BINARY_DIR}/cache)
if(GQE_SANITIZE)
  list(APPEND common_environment LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/leak_suppressions.txt)
endif()
if(GQE_SANITIZE_THREADS)
  list(APPEND common_environment TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/thread_suppressions.txt)
endif()
set(no_driver VK_ICD_FILENAMES=/nonexistent)

function(gqe_register name binary label)
  add_test(NAME ${name}:${label} COMMAND ${binary})
  set_tests_properties(${name}:${label} PROPERTIES LABELS ${label} TIMEOUT 1200 ENVIRONMENT "${common_environment};${ARGN}")
endfunction()

# Once, without any driver.
function(gqe_add_host_test name binary)
  gqe_register(${name} ${binary} host ${no_driver})
endfunction()

# On every driver, and with REFERENCE also on the reference device; with ONE_DRIVER on the first one that there is.
function(gqe_add_device_test name binary)
  cmake_parse_arguments(PARSE_ARGV 2 test "REFERENCE;ONE_DRIVER" "" "")
  set(validation "")
  if(GQE_TEST_VALIDATION)
    set(validation GQE_TEST_VALIDATION=1)
  endif()
  if(GQE_LAVAPIPE)
    set(environment VK_ICD_FILENAMES=${GQE_LAVAPIPE} ${validation})
    gqe_register(${name} ${binary} lavapipe ${environment})
    if(name STREQUAL "selftest")
      # The longest of all: begun first, it does not run alone at the end.
      set_tests_properties(${name}:lavapipe PROPERTIES COST 1000)
    endif()
    if(test_ONE_DRIVER)
      set_tests_properties(${name}:lavapipe PROPERTIES LABELS "lavapipe;one-driver" TIMEOUT 1500)
      return()
    endif()
    gqe_register(${name} ${binary} lavapipe-scalar ${environment} GQE_TEST_PATH=scalar GQE_TEST_SCALE=small)
  endif()
  if(GQE_SWIFTSHADER)
    gqe_register(${name} ${binary} swiftshader VK_ICD_FILENAMES=${GQE_SWIFTSHADER} ${validation} GQE_TEST_SCALE=small)
  endif()
  if(GQE_TEST_SYSTEM_DEVICE)
    gqe_register(${name} ${binary} system ${validation})
  endif()
  if(test_REFERENCE)
    gqe_register(${name} ${binary} reference ${no_driver} GQE_DEVICE=reference GQE_TEST_SCALE=small)
  endif()
endfunction()

if(NOT GQE_LAVAPIPE AND NOT GQE_SWIFTSHADER AND NOT GQE_TEST_SYSTEM_DEVICE)
  add_test(NAME a_vulkan_driver_exists
           COMMAND ${CMAKE_COMMAND} -E echo "no Vulkan driver to test on: install mesa-vulkan-drivers or run tools/setup.sh")
  set_tests_properties(a_vulkan_driver_exists PROPERTIES WILL_FAIL ON)
endif()
