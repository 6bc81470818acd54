# Gives the target vulcat::pcre2, the regular expressions that tokenizer files are written in. Included by vulcat's own build
# and, for the static library, by find_package(vulcat). Found by pkg-config; where that is not at hand (Windows) by CMake's
# search paths; or told: -DVULCAT_PCRE2_INCLUDE=folder -DVULCAT_PCRE2_LIBRARY=file.
if(NOT TARGET vulcat::pcre2)
  if(NOT VULCAT_PCRE2_INCLUDE)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
      pkg_check_modules(VULCAT_PCRE2 QUIET IMPORTED_TARGET GLOBAL libpcre2-8)
    endif()
  endif()
  if(TARGET PkgConfig::VULCAT_PCRE2)
    add_library(vulcat::pcre2 INTERFACE IMPORTED GLOBAL)
    set_target_properties(vulcat::pcre2 PROPERTIES INTERFACE_LINK_LIBRARIES PkgConfig::VULCAT_PCRE2)
  else()
    find_path(VULCAT_PCRE2_INCLUDE pcre2.h DOC "Folder of pcre2.h (Debian: libpcre2-dev)")
    find_library(VULCAT_PCRE2_LIBRARY NAMES pcre2-8 pcre2-8-static DOC "PCRE2's library of 8-bit code units")
    if(VULCAT_PCRE2_INCLUDE AND VULCAT_PCRE2_LIBRARY)
      add_library(vulcat::pcre2 INTERFACE IMPORTED GLOBAL)
      set_target_properties(vulcat::pcre2 PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${VULCAT_PCRE2_INCLUDE}" INTERFACE_LINK_LIBRARIES "${VULCAT_PCRE2_LIBRARY}")
    endif()
  endif()
endif()
