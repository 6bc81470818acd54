#include "model/sampling.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vulcat::model {

uint64_t RandomStream::next() {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t RandomStream::below(uint64_t bound) {
    const uint64_t value = next();
    const uint64_t lowLow = (value & UINT32_MAX) * (bound & UINT32_MAX);
    const uint64_t lowHigh = (value & UINT32_MAX) * (bound >> 32);
    const uint64_t highLow = (value >> 32) * (bound & UINT32_MAX);
    const uint64_t middle = (lowLow >> 32) + (lowHigh & UINT32_MAX) + highLow;  // below 2^64: no carry is lost
    return (value >> 32) * (bound >> 32) + (lowHigh >> 32) + (middle >> 32);
}

uint64_t fixedPointExp(double x) {
    constexpr uint64_t kOne = uint64_t{1} << 32;
    if (!(x > 0.0)) return kOne;
    if (x > 23.0) return 0;  // below 2^-33
    // exp(-x) = 2^-t with t = x log2(e); one product and one conversion, so nothing a compiler could fuse.
    const double t = x * 1.4426950408889634;
    const auto fixed = static_cast<uint64_t>(std::ldexp(t, 32));
    const uint64_t whole = fixed >> 32;
    const uint64_t fraction = fixed & (kOne - 1);
    // 2^-f = exp(-f ln 2), a Taylor series by Horner in Q32: r = 1 - a/1 (1 - a/2 (1 - a/3 (...))), a = f ln 2 <
    // 0.6932.
    constexpr uint64_t kLn2 = 2977044472u;  // round(ln 2 * 2^32)
    const uint64_t a = (fraction * kLn2) >> 32;
    uint64_t r = kOne;  // a r < 2^64 in every step
    for (uint64_t k = 12; k >= 1; --k) r = kOne - ((a * r) >> 32) / k;
    return r >> whole;
}

namespace {

void requireNumber(float logit, size_t id) {
    if (!std::isnan(logit)) return;
    throw Error(Result::WrongResult, "logit " + std::to_string(id) +
                                         " is not a number: the model's weights or the driver are damaged");
}

void checkLogits(std::span<const float> logits) {
    if (logits.empty()) throw Error(Result::InvalidArgument, "sampling needs at least one logit");
    for (size_t i = 0; i < logits.size(); ++i) requireNumber(logits[i], i);
}

}  // namespace

int32_t greedyChoice(std::span<const float> logits) {
    checkLogits(logits);
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {
    if (!(options.temperature >= 0.0f) || !std::isfinite(options.temperature)) {
        throw Error(Result::InvalidArgument, "temperature must be a finite number of at least 0");
    }
    if (!(options.topP > 0.0f && options.topP <= 1.0f)) {
        throw Error(Result::InvalidArgument, "topP must be above 0 and at most 1");
    }
}

void Sampler::sortCandidates(std::span<const float> logits) {
    order_.resize(logits.size());
    std::iota(order_.begin(), order_.end(), 0);
    auto likelier = [&](int32_t a, int32_t b) {
        const float x = logits[static_cast<size_t>(a)];
        const float y = logits[static_cast<size_t>(b)];
        return x > y || (x == y && a < b);
    };
    const size_t keep = options_.topK == 0 ? order_.size() : std::min<size_t>(options_.topK, order_.size());
    std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(keep), order_.end(), likelier);
    candidates_.clear();
    for (size_t i = 0; i < keep; ++i) candidates_.push_back({order_[i], logits[static_cast<size_t>(order_[i])]});
}

uint32_t Sampler::decisive() const {
    return options_.temperature == 0.0f ? 1 : options_.topK;
}

int32_t Sampler::choose(std::span<const float> logits) {
    if (decisive() == 1) return greedyChoice(logits);
    checkLogits(logits);
    sortCandidates(logits);
    return draw();
}

int32_t Sampler::chooseAmong(std::span<const Candidate> largest) {
    if (largest.empty()) throw Error(Result::InvalidArgument, "sampling needs at least one logit");
    requireNumber(largest.front().logit, static_cast<size_t>(largest.front().id));
    if (decisive() == 1) return largest.front().id;
    candidates_.assign(largest.begin(), largest.end());
    return draw();
}

// One of candidates_, which are in falling order.
int32_t Sampler::draw() {
    const double largest = candidates_.front().logit;
    if (!std::isfinite(largest)) return candidates_.front().id;

    weights_.clear();
    uint64_t total = 0;  // below 2^32 * 2^31: no overflow
    for (const Candidate& candidate : candidates_) {
        const double distance = largest - static_cast<double>(candidate.logit);
        weights_.push_back(fixedPointExp(distance / static_cast<double>(options_.temperature)));
        total += weights_.back();
    }
    if (options_.topP < 1.0f) {
        const double enough = static_cast<double>(options_.topP) * static_cast<double>(total);
        uint64_t reached = 0;
        for (uint64_t weight : weights_) {
            reached += weight;
            if (static_cast<double>(reached) >= enough) break;
        }
        total = reached;
    }
    uint64_t drawn = random_.below(total);
    for (size_t i = 0; i < weights_.size(); ++i) {
        if (drawn < weights_[i]) return candidates_[i].id;
        drawn -= weights_[i];
    }
    return candidates_.front().id;  // not reached: drawn < the sum of the weights
}

}  // namespace vulcat::model
