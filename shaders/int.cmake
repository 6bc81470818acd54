# Integer linear layers and the quantiser that feeds them.
vulcat_shader(quantise_rows FILE quantise_rows.comp)
vulcat_shader(quantise_rows_texel FILE quantise_rows.comp DEFINES TEXEL REQUIRES TEXEL)

# Modules <name>_m<rows of a tile>: 1 for one token, 4 or 8 for more. The tile is a define because
# SwiftShader unrolls no loop whose bound is a specialisation constant; where it does not run, one module has them all.
foreach(rows 1 4)
  foreach(bits 4 8)
    set(tile FILE integer_linear.comp DEFINES WEIGHT_BITS=${bits} TILE_M=${rows} TILE_N=4)
    vulcat_shader(integer_linear_w${bits}_m${rows} ${tile})
    vulcat_shader(integer_linear_w${bits}_subgroup_m${rows} ${tile} SUBGROUP REQUIRES SUBGROUP)
  endforeach()
endforeach()

foreach(bits 4 8)
  vulcat_shader(integer_linear_w${bits}_texel FILE integer_linear.comp DEFINES WEIGHT_BITS=${bits} TILE_N=4 SUBGROUP TEXEL REQUIRES SUBGROUP TEXEL)
endforeach()

# Only GPUs run these as a rule, whose compilers fold constants as well as text. SwiftShader also compiles what constants leave
# out: with AHEAD in all of them its pipelines took three times as long.
vulcat_shader(integer_linear_dot FILE integer_linear_dot.comp REQUIRES DOT)
vulcat_shader(integer_linear_dot_ahead FILE integer_linear_dot.comp DEFINES AHEAD=true REQUIRES DOT)
vulcat_shader(integer_linear_dot_scalars FILE integer_linear_dot.comp DEFINES SCALARS REQUIRES DOT SUBGROUP SCALARS)

# On a driver without vector shifts a tile of 4 rows is no faster than four of one.
foreach(rows 1 8)
  vulcat_shader(integer_linear_w4_quads_m${rows} FILE integer_linear.comp DEFINES WEIGHT_BITS=4 TILE_M=${rows} TILE_N=4 SUBGROUP QUADS
    REQUIRES SUBGROUP QUADS)
endforeach()

vulcat_shader(integer_linear_w4_address FILE integer_linear_address.comp REQUIRES SUBGROUP ADDRESS)

if(VULCAT_GLSL_KHR_COOPMAT)
  vulcat_shader(integer_linear_coopmat FILE integer_linear_coopmat.comp REQUIRES SUBGROUP I8 COOPMAT)
endif()
