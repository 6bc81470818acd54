# The fault-injection layer: a Vulkan layer of its own, seen only by the tests that are pointed at its manifest.
if(NOT TARGET vulcat_api OR NOT EXISTS "${VULCAT_VULKAN_INCLUDE}/vulkan/vk_layer.h")
  return()
endif()
add_library(vulcat_fault_layer MODULE fault_layer/fault_layer.cpp)
target_include_directories(vulcat_fault_layer SYSTEM PRIVATE "${VULCAT_VULKAN_INCLUDE}")
target_link_libraries(vulcat_fault_layer PRIVATE vulcat_flags)
set_target_properties(vulcat_fault_layer PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/fault_layer")
set(FAULT_LIBRARY "${CMAKE_CURRENT_BINARY_DIR}/fault_layer/libvulcat_fault_layer.so")
configure_file(fault_layer/manifest.json.in "${CMAKE_CURRENT_BINARY_DIR}/fault_layer/VkLayer_vulcat_fault.json" @ONLY)

vulcat_test(NAME fault_walk_test SOURCES fault_walk_test.cpp model_folder.cpp
  LIBS vulcat_api vulcat_format ${CMAKE_DL_LIBS} GPU)
add_dependencies(fault_walk_test vulcat_fault_layer)
target_include_directories(fault_walk_test SYSTEM PRIVATE "${VULCAT_VULKAN_INCLUDE}")
target_compile_definitions(fault_walk_test PRIVATE "VULCAT_FAULT_LIBRARY=\"${FAULT_LIBRARY}\"")
foreach(pair ${VULCAT_DRIVER_LIST})
  string(REPLACE "=" ";" parts "${pair}")
  list(GET parts 0 driver)
  # Both names: VK_ADD_LAYER_PATH is younger than Debian 12's loader; the system's folder holds the validation layer.
  set_property(TEST fault_walk_test.${driver} APPEND PROPERTY ENVIRONMENT
    "VK_LAYER_PATH=${CMAKE_CURRENT_BINARY_DIR}/fault_layer:/usr/share/vulkan/explicit_layer.d"
    "VK_INSTANCE_LAYERS=VK_LAYER_VULCAT_fault"
    "NODEVICE_SELECT=1")  # a layer of Mesa that reads the answer of a call that failed
endforeach()
