#pragma once
// Choosing the next token from a row of logits.
//
// The choice depends on the logits, the options and the seed alone: weights and sums are integers, the generator is our
// own, and no library exp or random distribution takes part. So the same logits give the same token on every platform.

#include <cstdint>
#include <span>
#include <vector>

namespace vulcat::model {

/// How to draw. temperature 0 is greedy: the largest logit, the lowest id among equals.
struct SamplingOptions {
    float temperature = 0.0f;  ///< >= 0; logits are divided by it
    uint32_t topK = 0;         ///< keep the topK largest logits; 0 keeps all
    float topP = 1.0f;         ///< in (0, 1]: keep the most likely tokens until their share reaches topP
    uint64_t seed = 0;         ///< starts the generator
};

/// A small counter-based generator (SplitMix64, Steele et al. 2014): one 64-bit state, equal on every platform.
class RandomStream {
  public:
    explicit RandomStream(uint64_t seed) : state_(seed) {}
    uint64_t next();
    /// Uniform in [0, bound): the high half of next() * bound, so some values are likelier by bound / 2^64.
    /// Precondition: bound > 0.
    uint64_t below(uint64_t bound);

  private:
    uint64_t state_;
};

/// round(2^32 exp(-x)) to within a few units, in integer arithmetic, for x >= 0. exp(0) is exactly 2^32.
uint64_t fixedPointExp(double x);

/// A token and its logit.
struct Candidate {
    int32_t id = 0;
    float logit = 0;
    bool operator==(const Candidate&) const = default;
};

class Sampler {
  public:
    /// Throws Error(InvalidArgument) naming the field that is out of its range.
    explicit Sampler(const SamplingOptions& options = {});

    /// The id of the chosen token. Throws Error(InvalidArgument) for no logits and Error(WrongResult) when one is NaN.
    int32_t choose(std::span<const float> logits);

    /// How many of the largest logits decide the choice; 0: all of them.
    uint32_t decisive() const;
    /// The same choice from the first decisive() logits of the row (or all, if it has fewer) in falling order, the lower
    /// id first among equals, a NaN before every number. Precondition: decisive() is not 0.
    int32_t chooseAmong(std::span<const Candidate> largest);

    const SamplingOptions& options() const { return options_; }

  private:
    void sortCandidates(std::span<const float> logits);
    int32_t draw();

    SamplingOptions options_;
    RandomStream random_;
    std::vector<int32_t> order_;
    std::vector<Candidate> candidates_;
    std::vector<uint64_t> weights_;
};

/// The index of the largest logit, the lowest among equals. The checks of Sampler::choose.
int32_t greedyChoice(std::span<const float> logits);

}  // namespace vulcat::model
