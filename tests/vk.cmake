# The GPU fixture, and the tests of the vk floor with modules of their own.
add_library(vulcat_test_gpu STATIC support/gpu_fixture.cpp)
target_link_libraries(vulcat_test_gpu PUBLIC vulcat_vk vulcat_test_support PRIVATE vulcat_flags ${CMAKE_DL_LIBS})

vulcat_shader(add FILE vk_shaders/add.comp TABLE vk_test)
vulcat_shader(texel_copy FILE vk_shaders/texel_copy.comp REQUIRES TEXEL TABLE vk_test)
vulcat_shader(subgroup_sum FILE vk_shaders/subgroup_sum.comp REQUIRES SUBGROUP TABLE vk_test)
vulcat_shader(dot FILE vk_shaders/dot.comp REQUIRES DOT TABLE vk_test)
vulcat_shader(undeclared FILE vk_shaders/subgroup_sum.comp TABLE vk_test)
vulcat_shader_table(vk_test FUNCTION vkTestModules OUT vkTestTable)
add_library(vulcat_vk_test_shaders STATIC ${vkTestTable})
target_link_libraries(vulcat_vk_test_shaders PUBLIC vulcat_shaders PRIVATE vulcat_flags)

vulcat_test(NAME vk_test
  SOURCES vk_dispatch_test.cpp vk_device_test.cpp vk_memory_test.cpp vk_pipeline_test.cpp vk_recorder_test.cpp
  LIBS vulcat_vk vulcat_test_gpu vulcat_vk_test_shaders GPU)

# Links the floor and nothing else: an arrow to a floor above would show here.
vulcat_test(NAME vk_unit_test SOURCES vk_unit_test.cpp LIBS vulcat_vk)
vulcat_test(NAME vk_audit_test SOURCES vk_audit_test.cpp LIBS vulcat_vk vulcat_vk_test_shaders)
vulcat_test(NAME vk_no_driver_test SOURCES vk_no_driver_test.cpp LIBS vulcat_vk)
set_tests_properties(vk_no_driver_test PROPERTIES
  ENVIRONMENT "VK_ICD_FILENAMES=/nonexistent/icd.json;VK_DRIVER_FILES=/nonexistent/icd.json")
