// Compiled by C++ and by GLSL: makes the few names that differ mean the same in both, so that parameter structs and
// constants are written once. Usage in another interface header:
//
//     #include "types.h"
//     VULCAT_INTERFACE_BEGIN
//     struct GemmParameters { uint rows; uint columns; int zero; float scale; };
//     VULCAT_INTERFACE_END
//
// Keep to uint, int and float members: their layout is the same in std430, in push constants and in C++.
#ifndef VULCAT_INTERFACE_TYPES_H
#define VULCAT_INTERFACE_TYPES_H

#ifdef __cplusplus
#include <cstdint>
#define VULCAT_INTERFACE_BEGIN     \
    namespace vulcat::shaders {    \
    using uint = std::uint32_t;
#define VULCAT_INTERFACE_END }
#define VULCAT_CONSTANT constexpr
#else
#define VULCAT_INTERFACE_BEGIN
#define VULCAT_INTERFACE_END
#define VULCAT_CONSTANT const
#endif

#endif
