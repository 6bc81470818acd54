#pragma once
// A float decoder of Llama models in the manner of llama2.c: whole sequences forward, no cache, no tricks. It gives
// calibration its activations, `vulcat eval --cpu` its logits, and the runtime its oracle: baked folders run here with
// integer weights, the CPU quantisers of the numeric contract, exact integer sums and the contract's epilogue order.

#include "calibrate/matrix.h"
#include "calibrate/site.h"
#include "calibrate/texts.h"

#include "format/model_config.h"
#include "format/names.h"
#include "format/safetensors.h"

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace vulcat::calibrate {

using format::SiteKind;

/// One decoder layer in memory.
struct Layer {
    std::vector<float> attentionNorm;  ///< [d]
    std::vector<float> mlpNorm;        ///< [d]
    std::array<Site, 4> sites;         ///< by SiteKind
    Site& site(SiteKind kind) { return sites[static_cast<size_t>(kind)]; }
    const Site& site(SiteKind kind) const { return sites[static_cast<size_t>(kind)]; }
};

/// Sees the input x [T, K] of each site, before any transform.
using SiteObserver = std::function<void(SiteKind kind, const Matrix& x)>;

/// A model folder, float or baked. All methods are const and may run on several threads at once.
class Decoder {
  public:
    /// Opens and checks the folder: every tensor must be there with the shape config.json implies.
    /// Throws Error(InvalidFile) naming the file and the tensor or field.
    explicit Decoder(const std::filesystem::path& folder);

    const format::ModelConfig& config() const { return config_; }
    const format::TensorStore& tensors() const { return tensors_; }

    /// From here on the residual stream's channels come in this order, channel i being the folder's order[i]: those of
    /// embeddings, norms, the inputs of qkv, gate_up and the head, the outputs of o and down (calibrate/residual_order.h).
    /// Outputs change by the order of sums only. Not while other methods run. Precondition: a float model.
    void orderResidual(std::vector<Eigen::Index> order);

    /// [T, d]. Throws Error(InvalidArgument) when a token is outside the vocabulary.
    Matrix embed(std::span<const int32_t> tokens) const;
    /// Reads layer `index` as floats or codes; NaN and infinity are rejected.
    Layer layer(int index) const;
    /// One layer forward, in place on hidden [T, d]. Positions are 0..T-1.
    void run(const Layer& layer, Matrix& hidden, const SiteObserver& observer = {}) const;
    /// The steps of run() between the linears. Inputs of the sites qkv and gate_up: the norm before them, [T, d].
    Matrix attentionInput(const Layer& layer, const Matrix& hidden) const;
    Matrix mlpInput(const Layer& layer, const Matrix& hidden) const;
    /// Input of the site o, [T, heads * headDim], from the outputs of q, k and v.
    Matrix attention(std::vector<Matrix> qkv) const;
    /// Input of the site down, [T, F], from the outputs of gate and up: silu(gate) * up.
    static Matrix gated(std::vector<Matrix> gateUp);
    /// The output layer as a site, floats or codes; a tied one's floats are the embedding's. NaN and infinity are rejected.
    Site head() const;
    /// Input of the head: the final norm, [T, d].
    Matrix headInput(const Matrix& hidden) const;
    /// Final norm and head: [T, d] -> [T, vocabulary]. The head is read at the first call.
    Matrix logits(const Matrix& hidden) const;

    /// Everything: logits [T, vocabulary] of one sequence. Loads each layer, so it suits tests and small models.
    Matrix forward(std::span<const int32_t> tokens) const;

  private:
    Site readSite(int index, SiteKind kind) const;
    void attend(const Matrix& q, const Matrix& k, const Matrix& v, Matrix& out) const;
    void rotate(Matrix& rows, int heads) const;

    std::filesystem::path folder_;
    format::ModelConfig config_;
    format::TensorStore tensors_;
    std::vector<float> finalNorm_;
    std::vector<double> frequencies_;      ///< radians a position, [headDim / 2]
    std::vector<Eigen::Index> residual_;   ///< the order of channels; empty: as in the folder
    struct Head;
    std::shared_ptr<Head> head_;
};

/// Hidden states after the last layer of each sequence, layer by layer: one layer in memory, sequences over threads.
/// `stop` set to true ends it with Error(Cancelled); `prepare` may change a layer before it is used.
std::vector<Matrix> hiddenStates(const Decoder& decoder, std::span<const Sequence> sequences, int threads,
                                 const std::atomic<bool>* stop = nullptr, const std::function<void()>& afterLayer = {},
                                 const std::function<void(Layer&)>& prepare = {});

}  // namespace vulcat::calibrate
