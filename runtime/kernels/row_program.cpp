#include "kernels/row_program.h"

#include "kernels/integer_linear.h"
#include "kernels/integer_tiles.h"
#include "kernels/launch.h"
#include "kernels/variant.h"

#include "base/checked.h"
#include "base/processors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace vulcat::kernels {
namespace {

constexpr uint32_t kSiteShare = 512;  // of a task, where a site's source and blocks are divided
constexpr uint32_t kTaskBytes = 32768;  // of weights in a task: short, so that threads end together, beside which taking it is nothing

uint32_t queriesOf(const AttentionShape& shape, uint32_t lanes) {
    // Their sums lie in registers, or beside them in memory that is as near.
    const uint32_t affordable = std::clamp(64 * lanes / shape.headDim, 1u, lanes);
    return std::bit_floor(std::min(shape.heads / shape.kvHeads, affordable));
}

}  // namespace

bool RowProgramShape::takes(const LinearShape& other) const {
    return other.format == linear.format && addressConstants(other, 1, 1) == addressConstants(linear, 1, 1);
}

bool RowProgramShape::takesSite(const SiteCodesShape& other) const {
    const SiteCodesShape& mine = other.source == SiteSource::SwiGlu ? product : hidden;
    SiteCodesShape same = other;
    same.source = mine.source;
    same.epsilon = mine.epsilon;
    return same == mine;
}

bool RowProgram::fits(const vk::Device& device, const vk::CapabilitySet& allowed, const RowProgramShape& shape) {
    return device.info().type == vk::DeviceType::Cpu && integerOrder(device, allowed, shape.linear) == WeightOrder::Words &&
           SiteRow::fits(device, allowed, shape.hidden) && SiteRow::fits(device, allowed, shape.product) &&
           shape.hidden.source == SiteSource::Norm && shape.product.source == SiteSource::SwiGlu &&
           shape.attention.headDim % (2 * weightLanes(device)) == 0;
}

RowProgram::RowProgram(vk::Device& device, vk::PipelineLibrary& library, const RowProgramShape& shape)
    // A workgroup for each thread that the driver may have and keep busy: they wait in loops, and waiting takes processor time
    // as work does. Those that find no thread find no task either when they come.
    : shape_(shape), workgroups_(std::min(usableProcessors(), 256u)) {
    const uint32_t lanes = weightLanes(device);
    const std::vector<uint32_t> linear = addressConstants(shape.linear, lanes, 1);
    vk::PipelineSpec spec;
    spec.module = "row_program";
    spec.constants = {lanes, linear[2], linear[3], shape.attention.headDim, queriesOf(shape.attention, lanes)};
    for (const SiteCodesShape* site : {&shape.hidden, &shape.product}) {
        const SiteRow row(device, *site);
        spec.constants.insert(spec.constants.end(), row.constants().begin(), row.constants().end());
    }
    spec.pushBytes = sizeof(shaders::RowProgramPush);
    spec.bindings.assign(9, vk::BindingKind::Storage);
    if (device.subgroupSizeControl()) spec.requiredSubgroupSize = lanes;
    pipeline_ = &library.get(spec);
}

void RowProgram::dispatch(vk::Recorder& recorder, const Args& args, const shaders::RowProgramPush& push, uint32_t groups,
                          std::span<const vk::Binding> touched, std::string_view label) const {
    const RowSteps::Memory& memory = args.steps.memory();
    std::array<vk::Binding, RowSteps::kMostTouched + 4> bindings;
    bindings.fill(vk::read(args.table));
    std::copy(touched.begin(), touched.end(), bindings.begin() + 1);
    bindings[RowSteps::kMostTouched + 1] = vk::readWrite(args.counters);
    bindings[RowSteps::kMostTouched + 2] = vk::readWrite(memory.codes);
    bindings[RowSteps::kMostTouched + 3] = vk::readWrite(memory.scratch);
    recorder.dispatch(*pipeline_, bindings, std::as_bytes(std::span(&push, 1)), {groups, 1, 1}, label);
}

void RowProgram::record(vk::Recorder& recorder, const Args& args) const {
    recorder.fill(args.counters, 0);
    shaders::RowProgramPush push{};
    setAddress(args.table, push.stepsLow, push.stepsHigh);
    push.endStep = static_cast<uint32_t>(args.steps.steps().size());
    push.position = args.position;
    // Weights and caches are not named: no other command of a recording touches them.
    const RowSteps::Memory& memory = args.steps.memory();
    const vk::Binding touched[] = {vk::readWrite(memory.hidden), vk::readWrite(memory.qkv), vk::readWrite(memory.mixed),
                                   vk::readWrite(memory.gateUp), vk::readWrite(memory.logits)};
    dispatch(recorder, args, push, workgroups_, std::span(touched).first(memory.logits.size == 0 ? 4 : 5), "row_program");
}

void RowProgram::recordSingly(vk::Recorder& recorder, const Args& args) const {
    constexpr std::string_view kLabels[] = {"row_linear", "row_attention", "row_site", "row_site"};
    static_assert(shaders::kStepLinear == 0 && shaders::kStepAttention == 1 && shaders::kStepHidden == 2 && shaders::kStepProduct == 3);
    shaders::RowProgramPush push{};
    setAddress(args.table, push.stepsLow, push.stepsHigh);
    push.position = args.position;
    push.single = 1;
    for (const shaders::ProgramStep& step : args.steps.steps()) {
        push.endStep = push.firstStep + 1;
        dispatch(recorder, args, push, step.tasks, args.steps.touched(push.firstStep, args.position), kLabels[step.kind]);
        ++push.firstStep;
    }
}

RowSteps::RowSteps(const vk::Device& device, const RowProgramShape& shape, const Memory& memory)
    : device_(device), shape_(shape), memory_(memory), columns_(kTilesOfGroup * weightLanes(device)) {}

std::vector<vk::Binding> RowSteps::touched(size_t step, uint32_t position) const {
    std::vector<vk::Binding> views = touched_[step];
    if (steps_[step].kind == shaders::kStepAttention) {
        for (size_t i : {size_t{2}, size_t{3}})
            views[i].view = floatRows(views[i].view, position + 1, shape_.attention.cacheWidth());
    }
    return views;
}

shaders::ProgramStep& RowSteps::add(uint32_t kind, uint32_t tasks, std::vector<vk::Binding> touched) {
    touched_.push_back(std::move(touched));
    shaders::ProgramStep& step = steps_.emplace_back();
    step.kind = kind;
    step.tasks = tasks;
    return step;
}

void RowSteps::addSite(const SiteCodesShape& site, const vk::BufferView& x, const SiteRowViews& views) {
    if (!shape_.takesSite(site)) throw Error(Result::InvalidArgument, "a site of another shape than its program's");
    const bool product = site.source == SiteSource::SwiGlu;
    const SiteRow row(device_, site);
    const auto fill = [&](uint32_t share, uint32_t tasks, uint32_t parts) {
        std::vector<vk::Binding> reads;
        if (parts & shaders::kPartLeave) reads = {vk::read(floatRows(x, 1, site.sourceWidth())), vk::read(row.blocks(views))};
        reads.push_back(vk::read(row.floats(views)));
        shaders::ProgramStep& step = add(product ? shaders::kStepProduct : shaders::kStepHidden, tasks, std::move(reads));
        step.share = share;
        step.parts = parts | (site.source == SiteSource::Norm ? shaders::kPartNorm : 0);
        step.site = row.push(x, views);
    };
    // A norm or rows alone are less than dividing them would cost.
    if (site.width <= kSiteShare || (site.block == 0 && !product)) {
        fill(site.width, 1, shaders::kPartLeave | shaders::kPartCodes);
        return;
    }
    const auto share = static_cast<uint32_t>(roundUp(kSiteShare, std::max(site.block, 1u)));
    fill(share, static_cast<uint32_t>(divideUp(site.width, share)), shaders::kPartLeave);
    fill(0, 1, shaders::kPartCodes);
}

void RowSteps::addLinear(const LinearWeights& weights, const vk::BufferView& y, bool accumulate) {
    if (weights.order() != WeightOrder::Words || !shape_.takes(weights.shape())) throw Error(Result::InvalidArgument, "weights of another format than their program's");
    for (const WeightPanel& panel : weights.panels()) {
        const auto groups = static_cast<uint32_t>(divideUp(panel.rowCount, columns_));
        const uint32_t share = std::max(kTaskBytes / (columns_ * weights.shape().paddedInputs() / 2), 1u);
        shaders::ProgramStep& step = add(shaders::kStepLinear, static_cast<uint32_t>(divideUp(groups, share)),
                                         {vk::readWrite(y), vk::read(panel.codes), vk::read(panel.parameters)});
        step.share = share;
        step.linear = linearPush(memory_.codes, weights, panel, y, 1, accumulate);
        setAddress(y, step.yLow, step.yHigh);
    }
}

void RowSteps::addAttention(const vk::BufferView& keys, const vk::BufferView& values, const vk::BufferView& ropeTable) {
    const AttentionShape& attention = shape_.attention;
    shaders::ProgramStep& step = add(shaders::kStepAttention, attention.kvHeads,
                                     {vk::read(memory_.qkv), vk::write(memory_.mixed), vk::readWrite(keys), vk::readWrite(values),
                                      vk::read(ropeTable)});
    setAddress(memory_.mixed, step.yLow, step.yHigh);
    setAddress(memory_.qkv, step.qkvLow, step.qkvHigh);
    setAddress(keys, step.keysLow, step.keysHigh);
    setAddress(values, step.valuesLow, step.valuesHigh);
    setAddress(ropeTable, step.anglesLow, step.anglesHigh);
    step.kvHeads = attention.kvHeads;
    step.ratio = attention.heads / attention.kvHeads;
    step.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(attention.headDim)));
}

}  // namespace vulcat::kernels
