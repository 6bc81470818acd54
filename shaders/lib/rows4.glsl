// Rows of floats in steps of four, whether or not four divides their width.
// Needs: const bool WIDE (every row width and offset used is a multiple of 4). TEXEL, if defined: rows that are only read
//        come as texel buffers (llvmpipe turns their 128-bit fetch into plain vector loads, but a storage-buffer load
//        into loops over the invocations, ten times as dear); WIDE must then be true.
// Gives: READ_ROWS(binding, Block, name), ROWS(binding, Block, name): declarations;
//        LOAD4(name, base, i, width): of READ_ROWS, elements 4i .. 4i+3 of the row that starts at `base`, 0 past `width`;
//        LOADWIDE(name, base, i): LOAD4 for rows that are known to be whole vec4s, whatever WIDE says;
//        LOAD1(name, i): of READ_ROWS, element i of the buffer;
//        STORE4(name, base, i, width, v): of ROWS, the counterpart of LOAD4, which writes nothing past `width`.

// One binding is declared twice, as floats and as vec4.
#define ROWS(binding_, Block, name)                                                                                    \
    layout(set = 0, binding = binding_, std430) buffer Block { float name[]; };                                        \
    layout(set = 0, binding = binding_, std430) buffer Block##Wide { vec4 name##4 []; };

#ifdef TEXEL
#define READ_ROWS(binding_, Block, name) layout(set = 0, binding = binding_) uniform usamplerBuffer name;
#define LOAD4(name, base, i, width) uintBitsToFloat(texelFetch(name, int(((base) >> 2) + (i))))
#define LOADWIDE(name, base, i) uintBitsToFloat(texelFetch(name, int(((base) >> 2) + (i))))
#define LOAD1(name, i) uintBitsToFloat(texelFetch(name, int((i) >> 2))[(i) & 3])
#else
#define READ_ROWS(binding_, Block, name)                                                                               \
    layout(set = 0, binding = binding_, std430) readonly buffer Block { float name[]; };                               \
    layout(set = 0, binding = binding_, std430) readonly buffer Block##Wide { vec4 name##4 []; };
#define LOADWIDE(name, base, i) name##4 [((base) >> 2) + (i)]
#define LOAD1(name, i) name[i]
#define LOAD4(name, base, i, width)                                                                                    \
    (WIDE ? name##4 [((base) >> 2) + (i)]                                                                              \
          : vec4(4 * (i) < (width) ? name[(base) + 4 * (i)] : 0.0,                                                     \
                 4 * (i) + 1 < (width) ? name[(base) + 4 * (i) + 1] : 0.0,                                             \
                 4 * (i) + 2 < (width) ? name[(base) + 4 * (i) + 2] : 0.0,                                             \
                 4 * (i) + 3 < (width) ? name[(base) + 4 * (i) + 3] : 0.0))
#endif

#define STORE4(name, base, i, width, v)                                                                                \
    if (WIDE) {                                                                                                        \
        name##4 [((base) >> 2) + (i)] = v;                                                                             \
    } else {                                                                                                           \
        for (uint e = 0; e < 4 && 4 * (i) + e < (width); ++e) name[(base) + 4 * (i) + e] = (v)[e];                     \
    }
