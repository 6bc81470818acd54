#version 450
#extension GL_KHR_shader_subgroup_arithmetic : require
// One subgroup a workgroup: sums[2g] = its lanes' sum of values, sums[2g + 1] = its size. Needs SUBGROUP.
layout(local_size_x_id = 0) in;
layout(binding = 0) readonly buffer Values { uint values[]; };
layout(binding = 1) writeonly buffer Sums { uint sums[]; };
shared uint unused[32];
void main() {
    const uint total = subgroupAdd(values[gl_GlobalInvocationID.x]);
    unused[gl_LocalInvocationIndex % 32] = gl_SubgroupSize;
    if (subgroupElect()) {
        sums[2 * gl_WorkGroupID.x] = total;
        sums[2 * gl_WorkGroupID.x + 1] = unused[gl_LocalInvocationIndex % 32];
    }
}
