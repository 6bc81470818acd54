# Turns GLSL into SPIR-V at build time and embeds it as one generated constant table.
#
#   vulcat_shader(<module> FILE <x.comp> [DEFINES A=1 ...] [REQUIRES SUBGROUP TEXEL DOT ...] [TABLE <table>])
#       declares one module. FILE is relative to the calling folder; REQUIRES names the capabilities beyond the base tier.
#   vulcat_shader_table(<table> FUNCTION <name> OUT <variable>)
#       writes the table's source file, with `vulcat::shaders::<name>()` returning the modules, and gives back the list of
#       files a target needs as SOURCES.
#
# Every include is relative to shaders/: #include "lib/half.glsl", #include "interface/types.h".

set(VULCAT_SHADER_ROOT "${CMAKE_CURRENT_LIST_DIR}" CACHE INTERNAL "")
set(VULCAT_SHADER_NEEDS "STORE16;F16;STORE8;I8;DOT;SUBGROUP;TEXEL;COOPMAT;QUADS;ADDRESS;SCALARS" CACHE INTERNAL "order of the bits in shaders/table.h")

function(vulcat_shader module)
  cmake_parse_arguments(S "" "FILE;TABLE" "DEFINES;REQUIRES" ${ARGN})
  if(NOT S_FILE OR S_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "vulcat_shader(${module}): FILE is missing, or there is an unknown word: ${S_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT S_TABLE)
    set(S_TABLE library)
  endif()
  set(needs 0)
  foreach(need IN LISTS S_REQUIRES)
    list(FIND VULCAT_SHADER_NEEDS "${need}" bit)
    if(bit LESS 0)
      message(FATAL_ERROR "vulcat_shader(${module}): REQUIRES ${need} is none of ${VULCAT_SHADER_NEEDS}")
    endif()
    math(EXPR needs "${needs} | (1 << ${bit})")
  endforeach()
  get_property(known GLOBAL PROPERTY VULCAT_SHADERS_${S_TABLE})
  if(module IN_LIST known)
    message(FATAL_ERROR "vulcat_shader(${module}) is declared twice")
  endif()
  list(TRANSFORM S_DEFINES PREPEND "-D")
  set(folder "${PROJECT_BINARY_DIR}/shaders/${S_TABLE}")
  file(MAKE_DIRECTORY "${folder}")
  get_filename_component(source "${S_FILE}" ABSOLUTE)
  add_custom_command(
    OUTPUT "${folder}/${module}.inc"
    COMMAND "${VULCAT_GLSLC}" -O --target-env=vulkan1.1 -Werror -fshader-stage=compute -mfmt=num -MD
            -MF "${folder}/${module}.d" -I "${VULCAT_SHADER_ROOT}" ${S_DEFINES} "${source}" -o "${folder}/${module}.inc"
    DEPENDS "${source}"
    DEPFILE "${folder}/${module}.d"
    COMMENT "Shader ${module}"
    VERBATIM)
  set_property(GLOBAL APPEND PROPERTY VULCAT_SHADERS_${S_TABLE} "${module}")
  set_property(GLOBAL APPEND PROPERTY VULCAT_SHADER_BITS_${S_TABLE} "${needs}")
endfunction()

function(vulcat_shader_table table)
  cmake_parse_arguments(T "" "FUNCTION;OUT" "" ${ARGN})
  get_property(modules GLOBAL PROPERTY VULCAT_SHADERS_${table})
  get_property(bits GLOBAL PROPERTY VULCAT_SHADER_BITS_${table})
  set(folder "${PROJECT_BINARY_DIR}/shaders/${table}")
  set(arrays "")
  set(rows "")
  set(files "${folder}/table.cpp")
  foreach(module needs IN ZIP_LISTS modules bits)
    string(APPEND arrays "const uint32_t k_${module}[] = {\n#include \"${module}.inc\"\n};\n")
    string(APPEND rows "        {\"${module}\", k_${module}, ${needs}u},\n")
    list(APPEND files "${folder}/${module}.inc")
  endforeach()
  if(modules)
    set(body "    static const Module table[] = {\n${rows}    };\n    return table;\n")
  else()
    set(body "    return {};\n")
  endif()
  file(CONFIGURE OUTPUT "${folder}/table.cpp" @ONLY CONTENT
    "// Generated from the vulcat_shader() lines.\n#include \"shaders/table.h\"\n\nnamespace vulcat::shaders {\nnamespace {\n@arrays@}  // namespace\n\nstd::span<const Module> @T_FUNCTION@();\nstd::span<const Module> @T_FUNCTION@() {\n@body@}\n\n}  // namespace vulcat::shaders\n")
  set(${T_OUT} "${files}" PARENT_SCOPE)
endfunction()
