// Rows of floats in steps of four, whether or not four divides their width.
// Needs: const bool WIDE (every row width and offset used is a multiple of 4); buffers declared twice on one binding,
//        as float NAME[] and as vec4 NAME4[].
// Gives: LOAD4(NAME, base, i, width): elements 4i .. 4i+3 of the row that starts at `base`, 0 past `width`;
//        STORE4(NAME, base, i, width, v): the counterpart, which writes nothing past `width`.

#define LOAD4(NAME, base, i, width)                                                                                    \
    (WIDE ? NAME##4 [((base) >> 2) + (i)]                                                                              \
          : vec4(4 * (i) < (width) ? NAME[(base) + 4 * (i)] : 0.0, 4 * (i) + 1 < (width) ? NAME[(base) + 4 * (i) + 1] : 0.0, \
                 4 * (i) + 2 < (width) ? NAME[(base) + 4 * (i) + 2] : 0.0,                                             \
                 4 * (i) + 3 < (width) ? NAME[(base) + 4 * (i) + 3] : 0.0))

#define STORE4(NAME, base, i, width, v)                                                                                \
    if (WIDE) {                                                                                                        \
        NAME##4 [((base) >> 2) + (i)] = v;                                                                             \
    } else {                                                                                                           \
        for (uint e = 0; e < 4 && 4 * (i) + e < (width); ++e) NAME[(base) + 4 * (i) + e] = (v)[e];                     \
    }
