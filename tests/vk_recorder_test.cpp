// The recorder's promise: what was recorded earlier is seen later, without a word from synchronisation validation; and
// the proof that validation would speak up, since without barriers it must.

#include "support/error_code.h"
#include "support/gpu_fixture.h"
#include "support/shared_data.h"
#include "vk_test_shaders.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

using namespace vulcat;
using test::AddParameters;
using test::codeOf;
using test::GpuFixture;

namespace {

constexpr uint32_t kCount = 1000;
constexpr std::array<uint32_t, 3> kGroups = {32, 1, 1};

/// Three buffers of kCount words and the add pipeline.
struct Bench {
    explicit Bench(vk::DeviceOptions options = {})
        : gpu(std::move(options)), pipelines(gpu.device(), {}, shaders::vkTestModules()) {
        a = gpu.upload(std::vector<uint32_t>(kCount, 1));
        b = gpu.upload(std::vector<uint32_t>(kCount, 10));
        x = gpu.output<uint32_t>(kCount);
        y = gpu.output<uint32_t>(kCount);
    }
    const vk::Pipeline& add() { return pipelines.get(test::addSpec(32)); }
    void sum(vk::Recorder& recorder, const vk::BufferView& left, const vk::BufferView& right,
             const vk::BufferView& to) {
        recorder.dispatch(add(), {vk::read(left), vk::read(right), vk::write(to)}, AddParameters{kCount, 0}, kGroups,
                          "sum");
    }
    bool all(const vk::BufferView& view, uint32_t value) {
        const std::vector<uint32_t> words = gpu.readBack<uint32_t>(view);
        return std::all_of(words.begin(), words.end(), [&](uint32_t word) { return word == value; });
    }

    GpuFixture gpu;
    vk::PipelineLibrary pipelines;
    vk::BufferView a, b, x, y;
};

}  // namespace

TEST_CASE("read after write, write after read, write after write, with dispatches, copies and fills") {
    Bench bench;
    bench.gpu.run([&](vk::Recorder& recorder) {
        bench.sum(recorder, bench.a, bench.b, bench.x);  // x = 11
        CHECK(recorder.barrierCount() == 0);
        bench.sum(recorder, bench.x, bench.a, bench.y);  // y = 12, reads x
        CHECK(recorder.barrierCount() == 1);
        bench.sum(recorder, bench.a, bench.a, bench.x);  // x = 2, after it was read
        CHECK(recorder.barrierCount() == 2);
        bench.sum(recorder, bench.b, bench.b, bench.x);  // x = 20, written again
        CHECK(recorder.barrierCount() == 3);
        recorder.copy(bench.x, bench.a);  // a = 20, transfer reads what a dispatch wrote
        CHECK(recorder.barrierCount() == 4);
        bench.sum(recorder, bench.a, bench.y, bench.b);  // b = 32, reads what a transfer wrote
        CHECK(recorder.barrierCount() == 5);
        recorder.fill(bench.a, 3);  // after it was read
        recorder.fill(bench.a, 4);
        CHECK(recorder.barrierCount() == 7);
        bench.sum(recorder, bench.a, bench.b, bench.y);  // y = 36
        CHECK(recorder.barrierCount() == 8);
        CHECK(recorder.dispatchCount() == 6);
    });
    CHECK(bench.all(bench.x, 20));
    CHECK(bench.all(bench.b, 32));
    CHECK(bench.all(bench.y, 36));
}

TEST_CASE("independent work gets no barrier") {
    Bench bench;
    const vk::BufferView half = bench.gpu.output<uint32_t>(4096);
    bench.gpu.run([&](vk::Recorder& recorder) {
        bench.sum(recorder, bench.a, bench.b, bench.x);
        bench.sum(recorder, bench.b, bench.a, bench.y);
        recorder.dispatch(bench.add(), {vk::read(bench.a), vk::read(bench.b), vk::write(half.part(0, 4096))},
                          AddParameters{kCount, 0}, kGroups);
        recorder.dispatch(bench.add(), {vk::read(bench.a), vk::read(bench.b), vk::write(half.part(4096, 4096))},
                          AddParameters{kCount, 0}, kGroups);
        CHECK(recorder.barrierCount() == 0);
    });
    CHECK(bench.all(bench.y, 11));
}

TEST_CASE("without barriers the validation layer reports each kind of hazard") {
    struct Hazard {
        const char* name;
        std::function<void(Bench&, vk::Recorder&)> second;
    };
    const Hazard hazards[] = {
        {"READ-AFTER-WRITE",
         [](Bench& bench, vk::Recorder& recorder) { bench.sum(recorder, bench.x, bench.a, bench.y); }},
        {"WRITE-AFTER-READ",
         [](Bench& bench, vk::Recorder& recorder) { bench.sum(recorder, bench.b, bench.b, bench.a); }},
        // By a fill: the layer of 1.3.239 says nothing when two dispatches write the same range.
        {"WRITE-AFTER-WRITE", [](Bench& bench, vk::Recorder& recorder) { recorder.fill(bench.x, 0); }}};
    for (const Hazard& hazard : hazards) {
        INFO(hazard.name);
        Bench bench;
        {
            vk::Recorder recorder(bench.gpu.device(), vk::Hazards::Unchecked);
            recorder.begin();
            bench.sum(recorder, bench.a, bench.b, bench.x);
            hazard.second(bench, recorder);
            recorder.end();
            CHECK(recorder.barrierCount() == 0);
        }
        const auto& messages = bench.gpu.messages();
        CHECK(std::any_of(messages.begin(), messages.end(), [&](const std::string& message) {
            return message.find(std::string("SYNC-HAZARD-") + hazard.name) != std::string::npos;
        }));
        bench.gpu.acceptMessages();
    }
}

TEST_CASE("a recording can be submitted again and recorded anew") {
    Bench bench;
    vk::Recorder recorder(bench.gpu.device());
    recorder.begin();
    bench.sum(recorder, bench.a, bench.b, bench.x);
    recorder.copy(bench.x, bench.a);  // a grows by b each time
    recorder.end();
    for (int i = 0; i < 3; ++i) bench.gpu.device().submitAndWait(recorder);
    CHECK(bench.all(bench.a, 31));
    recorder.begin();
    recorder.fill(bench.a, 0);
    recorder.end();
    bench.gpu.device().submit(recorder);
    CHECK(codeOf([&] { bench.gpu.device().submit(recorder); }) == Result::InvalidArgument);
    bench.gpu.device().wait(recorder);
    bench.gpu.device().wait(recorder);
    CHECK(bench.all(bench.a, 0));
}

TEST_CASE("more dispatches than one descriptor pool holds") {
    Bench bench;
    bench.gpu.run([&](vk::Recorder& recorder) {
        for (int i = 0; i < 600; ++i) {
            bench.sum(recorder, bench.a, bench.b, bench.x);
            bench.sum(recorder, bench.x, bench.a, bench.b);  // b grows by 2: x = a + b, b = x + a
        }
    });
    CHECK(bench.all(bench.b, 10 + 2 * 600));
}

TEST_CASE("mistakes in a dispatch are refused, naming the module") {
    vk::DeviceOptions options;
    options.limits.maxStorageRange = 8000;
    options.limits.maxWorkgroupCount = {100, 50, 50};
    Bench bench(options);
    const vk::BufferView large = bench.gpu.output(8004);
    const auto attempt = [&](const vk::BufferView& to, std::array<uint32_t, 3> groups) {
        return codeOf([&] {
            bench.gpu.run([&](vk::Recorder& recorder) {
                recorder.dispatch(bench.add(), {vk::read(bench.a), vk::read(bench.b), vk::write(to)},
                                  AddParameters{1, 0}, groups);
            });
        });
    };
    CHECK(attempt(bench.x, {1, 1, 1}) == Result::Ok);
    CHECK(attempt(bench.x, {100, 1, 1}) == Result::Ok);
    CHECK(attempt(bench.x, {101, 1, 1}) == Result::InvalidArgument);
    CHECK(attempt(bench.x, {1, 51, 1}) == Result::InvalidArgument);
    CHECK(attempt(bench.x, {1, 1, 51}) == Result::InvalidArgument);
    CHECK(attempt(bench.x, {0, 1, 1}) == Result::InvalidArgument);
    CHECK(attempt(large, {1, 1, 1}) == Result::InvalidArgument);
    CHECK(attempt(bench.x.part(4, 100), {1, 1, 1}) == Result::InvalidArgument);
    CHECK(attempt({}, {1, 1, 1}) == Result::InvalidArgument);
    const auto record = [&](const std::function<void(vk::Recorder&)>& body) {
        return codeOf([&] { bench.gpu.run(body); });
    };
    CHECK(record([&](vk::Recorder& recorder) {
              recorder.dispatch(bench.add(), {vk::read(bench.a)}, AddParameters{1, 0}, {1, 1, 1});
          }) == Result::InvalidArgument);
    CHECK(record([&](vk::Recorder& recorder) {
              const vk::Binding bindings[] = {vk::read(bench.a), vk::read(bench.b), vk::write(bench.x)};
              recorder.dispatch(bench.add(), bindings, {}, {1, 1, 1});
          }) == Result::InvalidArgument);
    CHECK(record([&](vk::Recorder& recorder) { recorder.copy(bench.a, bench.x.part(0, 4)); }) ==
          Result::InvalidArgument);
    CHECK(record([&](vk::Recorder& recorder) { recorder.fill(bench.x.part(0, 6), 0); }) == Result::InvalidArgument);
    vk::Recorder idle(bench.gpu.device());
    CHECK(codeOf([&] { idle.fill(bench.x, 0); }) == Result::InvalidArgument);
    CHECK(codeOf([&] { bench.gpu.device().submit(idle); }) == Result::InvalidArgument);
}

TEST_CASE("texel buffers read what dispatches wrote") {
    Bench bench;
    if (!bench.gpu.device().enabled().contains(vk::Capability::Texel)) {
        test::reportSkip("no TEXEL on this device");
        return;
    }
    const vk::Pipeline& copy =
        bench.pipelines.get({.module = "texel_copy",
                             .constants = {32},
                             .pushBytes = 4,
                             .bindings = {vk::BindingKind::UniformTexel, vk::BindingKind::Storage}});
    const vk::TexelView texel(bench.gpu.device(), bench.x);
    struct {
        uint32_t count = kCount / 4;
    } parameters;
    bench.gpu.run([&](vk::Recorder& recorder) {
        bench.sum(recorder, bench.a, bench.b, bench.x);
        recorder.dispatch(copy, {vk::read(texel), vk::write(bench.y)}, parameters, {8, 1, 1});
        CHECK(recorder.barrierCount() == 1);
    });
    CHECK(bench.all(bench.y, 11));

    // Without a texel view of the caller's the recorder makes one over the same bytes.
    bench.gpu.run([&](vk::Recorder& recorder) {
        bench.sum(recorder, bench.a, bench.x, bench.b);
        recorder.dispatch(copy, {vk::read(bench.b), vk::write(bench.y)}, parameters, {8, 1, 1});
        CHECK(recorder.barrierCount() == 1);
    });
    CHECK(bench.all(bench.y, 12));
}

TEST_CASE("recording into a host's command buffer") {
    Bench bench;
    const vk::DeviceDispatch& vk = bench.gpu.device().dispatch();
    const VkDevice device = bench.gpu.device().handle();
    VkCommandPoolCreateInfo poolInfo{};
    poolInfo.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    poolInfo.queueFamilyIndex = bench.gpu.device().queueFamily();
    VkCommandPool pool = VK_NULL_HANDLE;
    REQUIRE(vk.vkCreateCommandPool(device, &poolInfo, nullptr, &pool) == VK_SUCCESS);
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = pool;
    allocate.commandBufferCount = 1;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    REQUIRE(vk.vkAllocateCommandBuffers(device, &allocate, &commands) == VK_SUCCESS);
    VkCommandBufferBeginInfo begin{};
    begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
    REQUIRE(vk.vkBeginCommandBuffer(commands, &begin) == VK_SUCCESS);
    vk.vkCmdFillBuffer(commands, bench.a.buffer, bench.a.offset, bench.a.size, 7);
    vk::Recorder recorder(bench.gpu.device());
    recorder.begin(commands);
    bench.sum(recorder, bench.a, bench.b, bench.x);
    recorder.end();
    vk.vkCmdFillBuffer(commands, bench.b.buffer, bench.b.offset, bench.b.size, 0);
    REQUIRE(vk.vkEndCommandBuffer(commands) == VK_SUCCESS);
    VkFenceCreateInfo fenceInfo{};
    fenceInfo.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO;
    VkFence fence = VK_NULL_HANDLE;
    REQUIRE(vk.vkCreateFence(device, &fenceInfo, nullptr, &fence) == VK_SUCCESS);
    bench.gpu.device().submit(commands, fence);
    bench.gpu.device().wait(fence);
    vk.vkDestroyFence(device, fence, nullptr);
    vk.vkDestroyCommandPool(device, pool, nullptr);
    CHECK(bench.all(bench.x, 17));
}

TEST_CASE("the profiler adds up times per label") {
    Bench bench;
    if (!(bench.gpu.device().limits().timestampPeriodNs > 0)) {
        CHECK(codeOf([&] { vk::Profiler profiler(bench.gpu.device()); }) == Result::Unsupported);
        test::reportSkip("no timestamps on this device");
        return;
    }
    vk::Profiler profiler(bench.gpu.device(), 4);
    vk::Recorder recorder(bench.gpu.device());
    recorder.profileWith(&profiler);
    recorder.begin();
    for (int i = 0; i < 3; ++i) bench.sum(recorder, bench.a, bench.b, bench.x);
    for (int i = 0; i < 2; ++i) {
        recorder.dispatch(bench.add(), {vk::read(bench.x), vk::read(bench.b), vk::write(bench.y)},
                          AddParameters{kCount, 0}, kGroups);
    }
    recorder.end();
    for (int i = 0; i < 2; ++i) {
        bench.gpu.device().submitAndWait(recorder);
        profiler.collect();
    }
    CHECK(profiler.dropped() == 1);
    REQUIRE(profiler.entries().size() == 2);
    CHECK(profiler.entries().at("sum").count == 6);
    CHECK(profiler.entries().at("add").count == 2);
    CHECK(profiler.entries().at("sum").totalNs > 0);
    CHECK(profiler.entries().at("sum").totalNs < 60e9);
    profiler.clear();
    CHECK(profiler.entries().empty());
}

TEST_CASE("a profiled recording ends with the profiler's empty dispatch, and others know nothing of it") {
    Bench bench;
    if (!(bench.gpu.device().limits().timestampPeriodNs > 0)) {
        test::reportSkip("no timestamps on this device");
        return;
    }
    const vk::BufferView scratch = bench.gpu.output<uint32_t>(kCount);
    const AddParameters push{1, 0};
    const vk::Binding bindings[] = {vk::read(bench.a), vk::read(bench.b), vk::write(scratch)};
    vk::Profiler profiler(bench.gpu.device());
    profiler.timeEmpty(bench.add(), bindings, std::as_bytes(std::span(&push, 1)));
    vk::Recorder recorder(bench.gpu.device());
    const auto run = [&](uint32_t dispatches, uint32_t barriers) {
        recorder.begin();
        bench.sum(recorder, bench.a, bench.b, bench.x);
        bench.sum(recorder, bench.x, bench.b, bench.y);
        recorder.end();
        CHECK(recorder.dispatchCount() == dispatches);
        CHECK(recorder.barrierCount() == barriers);
        bench.gpu.device().submitAndWait(recorder);
    };
    run(2, 1);
    recorder.profileWith(&profiler);
    for (int i = 0; i < 2; ++i) {
        run(3, 1);
        profiler.collect();
    }
    recorder.profileWith(nullptr);
    run(2, 1);
    REQUIRE(profiler.entries().size() == 2);
    CHECK(profiler.entries().at("sum").count == 4);
    CHECK(profiler.entries().at(std::string(vk::Profiler::kEmpty)).count == 2);
    CHECK(bench.all(bench.x, 11));
    CHECK(bench.all(bench.y, 21));
}
