#include "calibrate/residual_order.h"

#include "calibrate/plan.h"

namespace vulcat::calibrate {

namespace {

using Eigen::Index;

void addShares(const Eigen::VectorXd& values, Eigen::VectorXd& sum) {
    const double mean = values.mean();
    if (mean > 0) sum += values / mean;
}

}  // namespace

ColumnOrder residualOrder(const CalibrateOptions& options, const Decoder& decoder, const TrialRows& rows, int threads) {
    const Index width = decoder.config().hiddenSize, block = static_cast<Index>(blockOf(options, width));
    if (options.permuteResidual == Permute::None || block >= width) return {};
    const bool related = options.permuteResidual == Permute::Cat;
    Eigen::VectorXd mass = Eigen::VectorXd::Zero(width);
    Matrix affinity = Matrix::Zero(related ? width : 0, related ? width : 0);
    for (int l = 0; l < decoder.config().layers; ++l) {
        const Layer layer = decoder.layer(l);
        const std::vector<Matrix> inputs = rows(l, layer);
        for (const SiteKind kind : format::kSites) {
            if (!readsResidual(kind)) continue;
            const Matrix& x = inputs[static_cast<size_t>(kind)];
            addShares(meanMass(x), mass);
            if (!related) continue;
            SecondMoments moments(width, 0), weights(width, 0);
            moments.add(x, threads);
            for (const Linear& linear : layer.site(kind).linears) weights.add(linear.weight, threads);
            const Matrix pairs =
                channelAffinity(moments.part(0, width), weights.part(0, width), kAffinityDamping, threads);
            const float mean = pairs.mean();
            if (mean > 0) affinity += pairs / mean;
        }
    }
    return related ? alignedBlocks(affinity, mass, block) : massDiffusion(mass, block);
}

OrderedChannels judgeResidualOrder(const CalibrateOptions& options, const ColumnOrder& order, const Matrix& rows) {
    const Eigen::VectorXd mass = meanMass(rows);
    const auto block = static_cast<Index>(blockOf(options, rows.cols()));
    return {blockMasses(mass, inverseOrder(order), block), blockMasses(mass, naturalOrder(rows.cols()), block), {}};
}

void orderResidual(Layer& layer, const ColumnOrder& order) {
    layer.attentionNorm = inOrder(layer.attentionNorm, order);
    layer.mlpNorm = inOrder(layer.mlpNorm, order);
    for (const SiteKind kind : format::kSites) {
        const bool reads = readsResidual(kind);
        for (Linear& linear : layer.site(kind).linears) {
            linear.weight = reads ? columnsInOrder(linear.weight, order) : rowsInOrder(linear.weight, order);
            if (!reads && !linear.bias.empty()) linear.bias = inOrder(linear.bias, order);
        }
    }
}

std::vector<std::string> residualTensors(const format::ModelConfig& config) {
    std::vector<std::string> names = {std::string(format::kEmbeddingName), std::string(format::kFinalNormName)};
    if (!config.tieWordEmbeddings) names.emplace_back(format::kHeadName);
    for (int l = 0; l < config.layers; ++l) {
        names.push_back(format::inputNormName(l));
        names.push_back(format::postAttentionNormName(l));
        for (const SiteKind kind : {SiteKind::O, SiteKind::Down})
            for (const format::LinearInfo& linear : format::siteLinears(config, l, kind))
                if (linear.bias) names.push_back(linear.prefix + ".bias");
    }
    return names;
}

}  // namespace vulcat::calibrate
