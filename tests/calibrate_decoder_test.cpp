// The float decoder against numbers that a third implementation computed in float64.

#include "calibrate/decoder.h"
#include "calibrate/evaluate.h"

#include "text/tokenizer.h"

#include "base/error.h"

#include "support/shared_data.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

using namespace vulcat;
using namespace vulcat::calibrate;

namespace {

template <class T>
std::vector<T> readBinary(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
}

TextOptions lastStories(const std::filesystem::path& text, int count) {
    TextOptions options;
    options.files = {text};
    options.separator = "<|endoftext|>";
    options.samples = count;
    options.fromEnd = true;
    return options;
}

}  // namespace

TEST_CASE("decoder: the prompt's logits agree with the float64 reference within 1e-3") {
    VULCAT_SHARED_OR_SKIP(model, "models/stories260K");
    VULCAT_SHARED_OR_SKIP(ref, "ref");
    const auto ids = readBinary<int32_t>(ref / "stories260K.prompt.ids.i32");
    const auto expected = readBinary<float>(ref / "stories260K.prompt.logits.f32");
    const Matrix logits = Decoder(model).forward(ids);
    REQUIRE(logits.rows() == 16);
    REQUIRE(logits.cols() == 512);
    float worst = 0;
    for (Eigen::Index i = 0; i < logits.size(); ++i)
        worst = std::max(worst, std::fabs(logits.data()[i] - expected[static_cast<size_t>(i)]));
    MESSAGE("largest difference of a logit: " << worst);
    CHECK(worst < 1e-3f);
}

TEST_CASE("decoder: eval64 ids and mean NLL equal the reference") {
    VULCAT_SHARED_OR_SKIP(model, "models/stories260K");
    VULCAT_SHARED_OR_SKIP(text, "text/tinystories_sample_2MiB.txt");
    VULCAT_SHARED_OR_SKIP(ref, "ref/stories260K.eval64.ids.i32");
    EvaluateOptions options{model, std::nullopt, lastStories(text, 64)};
    const auto sequences = readSequences(options.texts, text::Tokenizer(model), 512);
    std::vector<int32_t> flat;
    for (const Sequence& sequence : sequences) {
        flat.push_back(static_cast<int32_t>(sequence.size()));
        flat.insert(flat.end(), sequence.begin(), sequence.end());
    }
    CHECK(flat == readBinary<int32_t>(ref));

    const EvaluationResult result = evaluate(options);
    CHECK(result.tokens == 32088);
    MESSAGE("mean NLL " << result.meanNll << " +- " << result.standardError);
    CHECK(std::fabs(result.meanNll - 1.424426) < 2e-5);
    CHECK(std::fabs(result.perplexity - 4.155473) < 1e-4);
}
