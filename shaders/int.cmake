# Integer linear layers and the quantiser that feeds them.
vulcat_shader(quantise_rows FILE quantise_rows.comp)
vulcat_shader(integer_linear_w4 FILE integer_linear.comp DEFINES WEIGHT_BITS=4)
vulcat_shader(integer_linear_w4_subgroup FILE integer_linear.comp DEFINES WEIGHT_BITS=4 SUBGROUP REQUIRES SUBGROUP)
vulcat_shader(integer_linear_w4_texel FILE integer_linear.comp DEFINES WEIGHT_BITS=4 SUBGROUP TEXEL REQUIRES SUBGROUP TEXEL)
vulcat_shader(integer_linear_w8 FILE integer_linear.comp DEFINES WEIGHT_BITS=8)
vulcat_shader(integer_linear_w8_subgroup FILE integer_linear.comp DEFINES WEIGHT_BITS=8 SUBGROUP REQUIRES SUBGROUP)
vulcat_shader(integer_linear_w8_texel FILE integer_linear.comp DEFINES WEIGHT_BITS=8 SUBGROUP TEXEL REQUIRES SUBGROUP TEXEL)
