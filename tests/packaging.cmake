# The library as other projects take it; on lavapipe, which is enough to see that it runs. The static package is that of this
# very build; a sanitizer's library would ask its runtime of each consumer.
if(VULCAT_INSTALL AND NOT BUILD_SHARED_LIBS AND NOT VULCAT_SANITIZE AND "${VULCAT_DRIVER_LIST}" MATCHES "lavapipe=([^;]*)")
  add_test(NAME packaging_test COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/packaging_test.sh" "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}"
    "${CMAKE_CURRENT_BINARY_DIR}/packaging")
  set_tests_properties(packaging_test PROPERTIES ENVIRONMENT "VK_ICD_FILENAMES=${CMAKE_MATCH_1};VK_DRIVER_FILES=${CMAKE_MATCH_1}")
else()
  message(STATUS "The packaging test does not run: it needs lavapipe and a static library without sanitizers")
endif()

add_test(NAME mingw_test COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/mingw_test.sh" "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_BINARY_DIR}/mingw")
set_tests_properties(mingw_test PROPERTIES SKIP_RETURN_CODE 77)

# The samples of embedding, on lavapipe: a window needs a driver that can present.
if(TARGET c_minimal AND "${VULCAT_DRIVER_LIST}" MATCHES "lavapipe=([^;]*)")
  add_test(NAME samples_test COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/samples_test.sh" "${PROJECT_BINARY_DIR}/samples"
    "${PROJECT_SOURCE_DIR}/samples/story_model")
  set_tests_properties(samples_test PROPERTIES ENVIRONMENT "VK_ICD_FILENAMES=${CMAKE_MATCH_1};VK_DRIVER_FILES=${CMAKE_MATCH_1}")
endif()
