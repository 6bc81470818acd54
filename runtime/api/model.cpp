#include "api/handles.h"
#include "base/path_text.h"
#include "kernels/tuner.h"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

using namespace vulcat;

namespace {

void giveText(std::string made, VulcatTextStream stream, const char** text, size_t* bytes) {
    stream->text = std::move(made);
    *text = stream->text.c_str();
    *bytes = stream->text.size();
}

}  // namespace

void VulcatModel_T::open(const model::LoadProgress& progress) {
    decoder.emplace(context->engine(), folder, progress);
}

VulcatResult vulcatLoadModel(VulcatContext context, const VulcatModelInfo* info, VulcatModel* model) {
    return api::guardHandle(context, [&] {
        const VulcatModelInfo known = api::readStruct(info, "info");
        api::requireArgument(known.folder != nullptr, "info.folder must not be NULL");
        api::requireArgument(model != nullptr, "model must not be NULL");
        model::LoadProgress progress;
        if (known.progress != nullptr) {
            progress = [&known](uint64_t done, uint64_t total, std::string_view next) {
                return known.progress(known.userData, done, total, std::string(next).c_str()) == 0;
            };
        }
        const layers::Engine engine = context->engine();
        // The tokenizer first: it is quick, and a folder without one should not be found out after the upload.
        auto made = std::make_unique<VulcatModel_T>(context, pathOf(known.folder));
        const model::ModelPlan plan = model::planModel(engine, made->folder, {});
        model::requireMemory(plan, plan.modelBytes(), "the model");
        made->open(progress);
        *model = made.release();
    });
}

VulcatResult vulcatPlanModel(VulcatContext context, const VulcatModelInfo* modelInfo,
                             const VulcatSessionInfo* sessionInfo, VulcatModelPlan* plan) {
    return api::guardHandle(context, [&] {
        const VulcatModelInfo known = api::readStruct(modelInfo, "modelInfo");
        api::requireArgument(known.folder != nullptr, "modelInfo.folder must not be NULL");
        const model::ModelPlan made =
            model::planModel(context->engine(), pathOf(known.folder), api::sessionOptions(sessionInfo, "sessionInfo"));
        VulcatModelPlan answer{};
        answer.contextLength = made.shape.contextLength;
        answer.chunkRows = made.shape.chunkRows;
        answer.weightsBytes = made.weightsBytes;
        answer.vocabularyBytes = made.vocabularyBytes;
        answer.cacheBytes = made.cacheBytes;
        answer.activationsBytes = made.activationsBytes;
        answer.totalBytes = made.totalBytes();
        answer.hostVisibleBytes = made.hostBytes;
        answer.availableBytes = made.availableBytes;
        answer.fits = made.totalBytes() <= made.availableBytes ? 1 : 0;
        api::writeStruct(answer, plan, "plan");
    });
}

void vulcatDestroyModel(VulcatModel model) {
    delete model;
}

VulcatResult vulcatTuneModel(VulcatModel model, VulcatProgressFunction progress, void* userData) {
    return api::guardHandle(model, [&] {
        const std::vector<kernels::LinearSize> sizes = api::present(model->decoder).linears();
        const layers::Engine engine = model->context->engine();
        size_t done = 0;
        kernels::TunerOptions options;
        options.maxRows = layers::kMaxRows;
        options.goOn = [&] {
            return progress == nullptr || progress(userData, done, sizes.size(), "layers of different sizes") == 0;
        };
        kernels::Tuning tuning = model->context->tiles;
        for (; done < sizes.size(); ++done) {
            tuning.set(sizes[done], kernels::tuneLinear(engine.device, engine.pipelines, engine.allowed, sizes[done],
                                                        options).best);
        }
        model->context->tiles = std::move(tuning);
    });
}

VulcatResult vulcatModelProperties(VulcatModel model, VulcatModelProperties* properties) {
    return api::guardHandle(model, [&] {
        const format::ModelConfig& config = api::present(model->decoder).config();
        VulcatModelProperties known{};
        known.vocabularySize = static_cast<uint32_t>(config.vocabSize);
        known.maxPositions = static_cast<uint32_t>(config.maxPositions);
        known.layers = static_cast<uint32_t>(config.layers);
        known.hiddenSize = static_cast<uint32_t>(config.hiddenSize);
        known.bosToken = model::openingToken(config, model->tokenizer).value_or(-1);
        known.weightsBytes = model->decoder->weightsBytes();
        api::writeStruct(known, properties, "properties");
    });
}

int vulcatModelEndsText(VulcatModel model, int32_t token) {
    if (model == nullptr || !model->decoder) return 0;
    return model::endsText(model->decoder->config(), model->tokenizer, token) ? 1 : 0;
}

VulcatResult vulcatTokenize(VulcatModel model, const char* text, size_t textBytes, int addBos, int32_t* tokens,
                            size_t* count) {
    return api::guardHandle(model, [&] {
        api::requireArgument(text != nullptr || textBytes == 0, "text must not be NULL");
        api::requireArgument(count != nullptr, "count must not be NULL");
        const auto ids = model->tokenizer.encode(std::string_view(text, textBytes), addBos != 0);
        api::copyOut(ids.data(), ids.size(), tokens, count, "tokens");
    });
}

VulcatResult vulcatDetokenize(VulcatModel model, const int32_t* tokens, size_t count, char* text, size_t* bytes) {
    return api::guardHandle(model, [&] {
        api::requireArgument(tokens != nullptr || count == 0, "tokens must not be NULL");
        api::requireArgument(bytes != nullptr, "bytes must not be NULL");
        const std::string decoded = model->tokenizer.decode(std::span<const int32_t>(tokens, count));
        api::copyOut(decoded.data(), decoded.size(), text, bytes, "text");
    });
}

VulcatResult vulcatCreateTextStream(VulcatModel model, VulcatTextStream* stream) {
    return api::guardHandle(model, [&] {
        api::requireArgument(stream != nullptr, "stream must not be NULL");
        *stream = new VulcatTextStream_T{model->context, text::StreamingDecoder(model->tokenizer), {}};
    });
}

void vulcatDestroyTextStream(VulcatTextStream stream) {
    delete stream;
}

VulcatResult vulcatTextStreamPush(VulcatTextStream stream, int32_t token, const char** text, size_t* bytes) {
    return api::guardHandle(stream, [&] {
        api::requireArgument(text != nullptr && bytes != nullptr, "text and bytes must not be NULL");
        giveText(stream->decoder.feed(token), stream, text, bytes);
    });
}

VulcatResult vulcatTextStreamFlush(VulcatTextStream stream, const char** text, size_t* bytes) {
    return api::guardHandle(stream, [&] {
        api::requireArgument(text != nullptr && bytes != nullptr, "text and bytes must not be NULL");
        giveText(stream->decoder.finish(), stream, text, bytes);
    });
}
