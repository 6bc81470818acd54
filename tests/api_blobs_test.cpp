// Bytes that come back from outside: saved sessions, tuning and pipeline-cache blobs. Cut anywhere, with any byte
// changed, or forged with a checksum that is right, they are refused or passed over, and nothing that was there
// changes.
#include "vulcat.hpp"

#include "model/step_costs.h"
#include "model_folder.h"
#include "support/shared_data.h"
#include "support/api_struct.h"
#include "support/rng.h"
#include "support/temp_folder.h"
#include "vk/pipeline_cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

using vulcat::test::sized;

namespace {

using Bytes = std::vector<unsigned char>;

constexpr size_t kHeaderBytes = 40;     // of a saved session
constexpr size_t kChecksumOffset = 32;  // see model/session_state.h

/// What a saved session carries to show that it is whole, computed apart from the library.
uint64_t fnv(const Bytes& bytes) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
    return hash;
}

void sign(Bytes& state) {
    std::memset(state.data() + kChecksumOffset, 0, 8);
    const uint64_t hash = fnv(state);
    std::memcpy(state.data() + kChecksumOffset, &hash, 8);
}

struct Told {
    vulcat::Context context;
    vulcat::Model model{context, vulcat::test::storyModel().string()};
    vulcat::Session session{model, 8};
    Bytes state;
    std::vector<float> logits;

    Told() {
        session.append({5, 6, 7});
        state = session.save();
        logits = session.logits();
    }
    VulcatResult restore(const Bytes& bytes) const {
        return vulcatSessionRestore(session.handle(), bytes.data(), bytes.size());
    }
    /// Refused, with a sentence, and the session is what it was.
    bool refused(const Bytes& bytes) const {
        if (restore(bytes) != VULCAT_ERROR_INVALID_FILE) return false;
        return vulcatContextErrorText(context.handle())[0] != '\0' && session.position() == 3;
    }
};

}  // namespace

TEST_CASE("a saved session is refused when it is cut anywhere or any byte of it is another") {
    const Told told;
    size_t accepted = 0;
    for (size_t i = 0; i < told.state.size(); ++i) {
        Bytes damaged = told.state;
        damaged[i] = static_cast<unsigned char>(damaged[i] ^ (1u << i % 8));
        accepted += told.refused(damaged) ? 0 : 1;
    }
    // Each length up to the first tensors, then some.
    for (size_t size = 1; size < told.state.size(); size += size < 4096 ? 1 : 61) {
        accepted +=
            told.refused(Bytes(told.state.begin(), told.state.begin() + static_cast<std::ptrdiff_t>(size))) ? 0 : 1;
    }
    Bytes longer = told.state;
    longer.push_back(0);
    accepted += told.refused(longer) ? 0 : 1;
    CHECK(accepted == 0);
    CHECK(told.session.logits() == told.logits);
    std::printf("%zu bytes, each changed\n", told.state.size());
}

TEST_CASE("a forged session with a right checksum is refused or harmless") {
    Told told;
    Bytes same = told.state;
    sign(same);
    REQUIRE(same == told.state);
    vulcat::test::Rng rng(11);
    size_t taken = 0, refused = 0;
    // The header, the tokens and the ends of passes byte by byte, in all their bits; then logits, keys and values.
    for (size_t i = 0; i < 800; ++i) {
        const size_t at = i < kHeaderBytes * 8 + 32 * 8 ? i / 8 : static_cast<size_t>(rng.next()) % told.state.size();
        Bytes forged = told.state;
        forged[at] = static_cast<unsigned char>(forged[at] ^ (1u << i % 8));
        sign(forged);
        const VulcatResult result = told.restore(forged);
        if (result == VULCAT_SUCCESS) {
            ++taken;
            int32_t token = 0;
            const VulcatResult sampled = vulcatSessionSample(told.session.handle(), &token);
            CHECK((sampled == VULCAT_SUCCESS || sampled == VULCAT_ERROR_WRONG_RESULT ||
                   sampled == VULCAT_ERROR_INVALID_ARGUMENT));
        } else {
            ++refused;
            CHECK((result == VULCAT_ERROR_INVALID_FILE || result == VULCAT_ERROR_INVALID_ARGUMENT));
        }
    }
    CHECK(refused > 200);
    std::printf("%zu forged sessions taken, %zu refused\n", taken, refused);
    CHECK(told.restore(told.state) == VULCAT_SUCCESS);
    CHECK(told.session.logits() == told.logits);
}

TEST_CASE("a tuning blob is passed over when damaged, and forged times are never believed") {
    vulcat::vk::DeviceInfo info{};
    info.vendorId = 7;
    vulcat::vk::CommandList list;
    list.addFill(vulcat::vk::BufferView{}, 0);
    vulcat::model::StepCosts learned(info, 3);
    learned.observe(list[0], 1, 1000);
    const std::vector<std::byte> blob = learned.blob();
    REQUIRE(vulcat::model::StepCosts(info, 3, blob).estimateNs(list[0], 1).has_value());
    for (size_t i = 0; i < blob.size(); ++i) {
        std::vector<std::byte> damaged = blob;
        damaged[i] ^= static_cast<std::byte>(1u << i % 8);
        const vulcat::model::StepCosts costs(info, 3, damaged);
        CHECK_FALSE(costs.tookBlob());
        CHECK_FALSE(costs.estimateNs(list[0], 1).has_value());
        CHECK_FALSE(vulcat::model::StepCosts(info, 3, std::span(blob).first(i)).tookBlob());
    }
    // The same envelope around entries whose numbers are what they may not be.
    const std::span<const std::byte> payload =
        vulcat::vk::unwrapPipelineCache(info, vulcat::model::StepCosts::contentsId(3), blob);
    REQUIRE(!payload.empty());
    const double wrong[] = {-1, std::numeric_limits<double>::infinity(), std::nan(""), 1e300};
    for (size_t at = 0; at + 8 <= payload.size(); at += 8) {
        for (const double value : wrong) {
            std::vector<std::byte> forged(payload.begin(), payload.end());
            std::memcpy(forged.data() + at, &value, sizeof value);
            const vulcat::model::StepCosts costs(
                info, 3, vulcat::vk::wrapPipelineCache(info, vulcat::model::StepCosts::contentsId(3), forged));
            const auto estimate = costs.estimateNs(list[0], 1);
            CHECK((!estimate || (*estimate >= 0 && *estimate < 1e13)));
        }
    }
}

/// Tuned integer layers compute the same bits; a tuned head may add in another order.
bool agree(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) return false;
    float largest = 0;
    for (const float value : a) largest = std::max(largest, std::fabs(value));
    return std::equal(a.begin(), a.end(), b.begin(), [&](float x, float y) { return std::fabs(x - y) <= 1e-5f * largest; });
}

TEST_CASE("tuning a model changes which kernels run, not what they compute, and survives as a blob") {
    const vulcat::test::TempFolder folder;
    vulcat::test::ModelRecipe recipe;
    recipe.layers = 1;
    recipe.weightBits = 4;
    recipe.activationBits = 8;
    vulcat::test::writeModelFolder(folder.path(), recipe);
    for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) {
        std::filesystem::copy_file(vulcat::test::storyModel() / file, folder.path() / file);
    }
    const std::string path = folder.path().string();
    const auto logitsOf = [](const vulcat::Context& context, const std::string& from) {
        const vulcat::Model model(context, from);
        vulcat::Session session(model, 16);
        session.append({1, 2, 3, 4, 5, 6, 7, 8, 9});
        session.append({10});
        return session.logits();
    };
    vulcat::Context context;
    const std::vector<float> expected = logitsOf(context, path);
    const Bytes untuned = context.blob(VULCAT_BLOB_TILES);
    vulcat::Model model(context, path);
    // Ended by its progress function nothing is kept.
    CHECK(vulcatTuneModel(model.handle(), [](void*, uint64_t, uint64_t, const char*) { return 1; }, nullptr) ==
          VULCAT_ERROR_CANCELLED);
    CHECK(context.blob(VULCAT_BLOB_TILES) == untuned);
    uint64_t asked = 0;
    model.tune(
        [](void* count, uint64_t done, uint64_t total, const char*) {
            ++*static_cast<uint64_t*>(count);
            return done < total ? 0 : 1;
        },
        &asked);
    CHECK(asked > 0);
    const Bytes blob = context.blob(VULCAT_BLOB_TILES);
    CHECK(blob.size() > untuned.size());
    CHECK(agree(logitsOf(context, path), expected));
    auto info = sized<VulcatContextInfo>();
    info.tiles = blob.data();
    info.tilesBytes = blob.size();
    const vulcat::Context next(info);
    CHECK(next.blob(VULCAT_BLOB_TILES) == blob);
    CHECK(logitsOf(next, path) == logitsOf(context, path));
}

TEST_CASE("a context with damaged blobs says so and works") {
    Bytes cache, tuning, tiles;
    {
        vulcat::Context context;
        vulcat::Model model(context, vulcat::test::storyModel().string());
        cache = context.blob(VULCAT_BLOB_PIPELINE_CACHE);
        tuning = context.blob(VULCAT_BLOB_TUNING);
        tiles = context.blob(VULCAT_BLOB_TILES);
    }
    for (const bool damage : {false, true}) {
        if (damage) {
            cache[cache.size() / 2] = static_cast<unsigned char>(cache[cache.size() / 2] ^ 4);
            tuning.pop_back();
            tiles.front() = 'X';
        }
        std::string said;
        auto info = sized<VulcatContextInfo>();
        info.pipelineCache = cache.data();
        info.pipelineCacheBytes = cache.size();
        info.tuning = tuning.data();
        info.tuningBytes = tuning.size();
        info.tiles = tiles.data();
        info.tilesBytes = tiles.size();
        info.userData = &said;
        info.log = [](void* text, VulcatLogLevel, const char* message) { *static_cast<std::string*>(text) += message; };
        const vulcat::Context context(info);
        CHECK((said.find("info.pipelineCache is damaged") != std::string::npos) == damage);
        CHECK((said.find("info.tiles is damaged") != std::string::npos) == damage);
        CHECK((said.find("info.tuning is damaged") != std::string::npos) == damage);
        CHECK(!context.deviceName().empty());
    }
}
