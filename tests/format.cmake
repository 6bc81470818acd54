vulcat_test(NAME format_test
  SOURCES base_processors_test.cpp format_half_test.cpp format_safetensors_test.cpp format_hostile_safetensors_test.cpp format_store_test.cpp
          format_config_test.cpp format_packing_test.cpp format_quantise_test.cpp format_hadamard_test.cpp
          format_transform_test.cpp format_linear_test.cpp format_files_test.cpp
  LIBS vulcat_format)
# The floor stands alone: this program links format and nothing above it.
add_executable(format_links_alone format_links_alone.cpp)
target_link_libraries(format_links_alone PRIVATE vulcat_format vulcat_flags)
add_test(NAME format_links_alone COMMAND format_links_alone)
