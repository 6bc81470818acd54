#pragma once
// Processes that share one calibration: each leads its own part of the sequences through the model, sums are added up
// over all of them, and then all decide alike. The library knows no message passing; the program brings it (MPI).

#include <cstddef>
#include <span>

namespace vulcat::calibrate {

class Team {
  public:
    virtual ~Team() = default;
    /// 0..size() - 1. Process 0 writes the output; the others only read it, so all must see the same folder.
    virtual int rank() const = 0;
    virtual int size() const = 0;
    /// Replaces `values` by their sums over all processes, the same bits for each. Every process calls it with as many.
    virtual void sum(std::span<double> values) = 0;
    virtual void sum(std::span<float> values) = 0;
    /// Returns when every process has called it.
    virtual void meet() = 0;
};

/// A part of the calibration sequences: 0 <= index < count.
struct Share {
    int index = 0, count = 1;
    /// The first of `total` sequences that belongs to the share; those up to the next share's first do.
    size_t begin(size_t total) const { return total * static_cast<size_t>(index) / static_cast<size_t>(count); }
    size_t end(size_t total) const { return total * static_cast<size_t>(index + 1) / static_cast<size_t>(count); }
};

}  // namespace vulcat::calibrate
