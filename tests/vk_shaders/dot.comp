#version 450
#extension GL_EXT_spirv_intrinsics : require
// products[i] = a[i] . b[i] over packed signed bytes: a module that needs DOT.
layout(local_size_x_id = 0) in;
layout(binding = 0) readonly buffer A { uint a[]; };
layout(binding = 1) readonly buffer B { uint b[]; };
layout(binding = 2) writeonly buffer Products { int products[]; };
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot4x8(uint a, uint b, spirv_literal int packed4x8);
void main() {
    const uint i = gl_GlobalInvocationID.x;
    products[i] = dot4x8(a[i], b[i], 0);
}
