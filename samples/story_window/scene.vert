#version 450
// A square field of columns that rise and sink with the waves; no vertex buffer, 36 vertices a column.
layout(push_constant) uniform Push {
    mat4 viewProjection;
    float timeSeconds;
    int side;  // columns along an edge
} push;

layout(location = 0) out vec3 colour;

const vec3 kNormals[6] = vec3[](vec3(1, 0, 0), vec3(-1, 0, 0), vec3(0, 1, 0), vec3(0, -1, 0), vec3(0, 0, 1), vec3(0, 0, -1));
const int kCorners[6] = int[](0, 1, 2, 2, 1, 3);

float height(vec2 place) {
    const float far = sin(length(place) * 0.45 - push.timeSeconds * 1.3);
    const float cross = sin(place.x * 0.35 + push.timeSeconds * 0.7) * cos(place.y * 0.3 - push.timeSeconds * 0.5);
    return 1.6 + far + 0.6 * cross;
}

void main() {
    const vec3 normal = kNormals[gl_VertexIndex / 6];
    const int corner = kCorners[gl_VertexIndex % 6];
    const vec3 along = normal.yzx;
    const vec3 across = cross(normal, along);
    const vec3 cube = normal + along * ((corner & 1) != 0 ? 1.0 : -1.0) + across * ((corner & 2) != 0 ? 1.0 : -1.0);

    const vec2 place = vec2(gl_InstanceIndex % push.side, gl_InstanceIndex / push.side) - 0.5 * float(push.side - 1);
    const float top = height(place);
    const vec3 position = vec3(place.x + 0.42 * cube.x, 0.5 * top * (cube.y + 1.0), place.y + 0.42 * cube.z);
    gl_Position = push.viewProjection * vec4(position, 1.0);

    const vec3 deep = vec3(0.05, 0.16, 0.30), crest = vec3(0.95, 0.80, 0.55);
    const float light = 0.35 + 0.65 * max(dot(normal, normalize(vec3(0.4, 0.8, 0.3))), 0.0);
    colour = light * mix(deep, crest, smoothstep(0.3, 3.0, position.y));
}
