#include "layers/site.h"

#include "layers/linear_source.h"

namespace vulcat::layers {
namespace {

LinearSource sourceOf(const format::TensorStore& store, const format::ModelConfig& config, int layer,
                      format::SiteKind kind) {
    const format::SiteRecipe recipe = config.recipe(format::siteName(layer, kind));
    return LinearSource(store, format::siteLinears(config, layer, kind), recipe.weightBits, recipe.groupSize,
                        recipe.coded);
}

}  // namespace

SiteBefore siteBefore(const format::TensorStore& store, const format::ModelConfig& config, int layer,
                      format::SiteKind kind) {
    const auto norm = [&](const std::string& name) {
        return SiteBefore{kernels::SiteSource::Norm, readVector(store, name, static_cast<uint64_t>(config.hiddenSize)),
                          config.rmsNormEps};
    };
    switch (kind) {
        case format::SiteKind::Qkv:
            return norm(format::inputNormName(layer));
        case format::SiteKind::GateUp:
            return norm(format::postAttentionNormName(layer));
        case format::SiteKind::Down:
            return {kernels::SiteSource::SwiGlu, {}, 0};
        case format::SiteKind::Head:
            return norm(std::string(format::kFinalNormName));
        case format::SiteKind::O:
            break;
    }
    return {};
}

Site::Site(const Engine& engine, WeightSink& sink, const format::TensorStore& store, const format::ModelConfig& config,
           int layer, format::SiteKind kind, const SiteBefore& before)
    : input_(engine, sink, store, format::siteName(layer, kind), config.recipe(format::siteName(layer, kind)),
             static_cast<uint32_t>(format::siteWidth(config, kind)), before),
      linear_(engine, sink, sourceOf(store, config, layer, kind), input_.quantises()) {}

Site::Site(const Engine& engine, WeightSink& sink, const format::Transform& transform, const format::SiteRecipe& recipe,
           const LinearSource& source)
    : input_(engine, sink, transform, recipe), linear_(engine, sink, source, input_.quantises()) {}

bool Site::fits(const kernels::RowProgramShape& program) const {
    return row() != nullptr && program.takesSite(*row()) && linear_.weights().order() == kernels::WeightOrder::Words &&
           program.takes(linearShape());
}

void Site::addSteps(kernels::RowSteps& steps, const vk::BufferView& x, const vk::BufferView& y, bool accumulate,
                    const SiteScratch& scratch) const {
    steps.addSite(*row(), x, input_.rowViews(scratch));
    steps.addLinear(linear_.weights(), y, accumulate);
}

void Site::record(vk::Recorder& recorder, const vk::BufferView& x, const vk::BufferView& y, uint32_t rows,
                  bool accumulate, const SiteScratch& scratch) const {
    linear_.record(recorder, input_.record(recorder, x, rows, scratch), y, rows, accumulate);
}

}  // namespace vulcat::layers
