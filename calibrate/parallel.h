#pragma once
// Work over threads whose result cannot depend on their number.

#include <cstddef>
#include <functional>

namespace vulcat::calibrate {

/// Threads to use: `wanted`, or where it is 0 as many as processors may be used (base/processors.h).
int threadCount(int wanted);

/// Calls work(i) once for each i below `count`, on up to `threads` threads, in any order; returns when all have
/// finished. Each i must write only to places of its own. The first exception thrown (lowest i) is rethrown after all
/// have ended; no further items start once one has failed.
void parallelFor(size_t count, int threads, const std::function<void(size_t)>& work);

}  // namespace vulcat::calibrate
