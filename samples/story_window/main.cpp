// A window with an animated scene, and a story that is told into it on the same Vulkan device.
//   story_window MODEL_DIR [--frames N] [--budget-us N] [--prompt TEXT] [--screenshot FILE.png]
// With --frames it measures: N frames without the story and N with it, in turns; percentiles of both on stdout; and ends.

#include "frame_times.h"
#include "gpu.h"
#include "overlay.h"
#include "scene.h"
#include "story.h"
#include "swapchain.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Options {
    std::string model;
    std::string prompt = "Once upon a time";
    std::string screenshot;
    int frames = 0;  // 0: until the window is closed
    int budgetUs = 4000;
};

struct Glfw {
    Glfw() {
        if (!glfwInit()) throw std::runtime_error("GLFW finds no display");
    }
    ~Glfw() { glfwTerminate(); }
};

struct Window {
    GLFWwindow* handle;
    Window() {
        glfwWindowHint(GLFW_CLIENT_API, GLFW_NO_API);
        handle = glfwCreateWindow(960, 600, "vulcat: a story while frames are drawn", nullptr, nullptr);
        if (handle == nullptr) throw std::runtime_error("GLFW makes no window");
    }
    ~Window() { glfwDestroyWindow(handle); }
};

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word.substr(0, 2) != "--") {
            options.model = word;
            continue;
        }
        if (i + 1 == argc) throw std::invalid_argument(std::string(word) + " needs a value");
        const char* value = argv[++i];
        if (word == "--frames") {
            options.frames = std::atoi(value);
        } else if (word == "--budget-us") {
            options.budgetUs = std::atoi(value);
        } else if (word == "--prompt") {
            options.prompt = value;
        } else if (word == "--screenshot") {
            options.screenshot = value;
        } else {
            throw std::invalid_argument("there is no option " + std::string(word));
        }
    }
    if (options.model.empty()) throw std::invalid_argument("which model?");
    return options;
}

using Clock = std::chrono::steady_clock;
constexpr int kTurnFrames = 20;

double millisecondsSince(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

class Program {
  public:
    explicit Program(const Options& options)
        : options_(options),
          gpu_(window_.handle),
          swapchain_(gpu_, window_.handle, options.frames == 0),
          scene_(gpu_, swapchain_.renderPass()),
          overlay_(gpu_, window_.handle, swapchain_.renderPass(), swapchain_.imageCount()),
          story_(gpu_.forVulcat(), options.model) {
        controls_.budgetUs = options.budgetUs;
        story_.begin(options_.prompt, ++seed_);
    }

    void runUntilClosed() {
        while (!glfwWindowShouldClose(window_.handle)) frame(nullptr);
    }

    void measure() {
        // The first tokens are slow: vulcat learns what its dispatches cost here.
        controls_.generate = true;
        for (int i = 0; i < 10 * options_.frames && story_.tokens() < 8; ++i) frame(nullptr);
        // Short turns with and without the story, so that whatever else the machine does meets both alike.
        FrameTimes off, on;
        uint32_t tokens = 0;
        double seconds = 0;
        while (off.count() < static_cast<size_t>(options_.frames)) {
            turn(false, off);
            const uint32_t before = story_.tokens();
            const Clock::time_point start = Clock::now();
            turn(true, on);
            seconds += millisecondsSince(start) / 1000;
            tokens += story_.tokens() - before;
        }

        std::printf("%s, %s, budget %d us a frame\n", gpu_.name.c_str(),
                    gpu_.ownQueue() ? "vulcat has a queue of its own" : "one queue for both", controls_.budgetUs);
        print("generation off", off);
        print("generation on", on);
        std::printf("p99 grows by %.2f ms; %u tokens, %.1f a second\n", on.percentile(99) - off.percentile(99), tokens, tokens / seconds);
        if (!options_.screenshot.empty()) takeScreenshot();
    }

  private:
    static void print(const char* what, const FrameTimes& times) {
        std::printf("%-14s  frames %zu  p50 %.2f  p95 %.2f  p99 %.2f  max %.2f ms\n", what, times.count(), times.percentile(50),
                    times.percentile(95), times.percentile(99), times.percentile(100));
    }

    // The first frame of a turn may still share the GPU with what the turn before submitted.
    void turn(bool generate, FrameTimes& times) {
        controls_.generate = generate;
        frame(nullptr);
        for (int i = 0; i < kTurnFrames && times.count() < static_cast<size_t>(options_.frames); ++i) times.add(frame(nullptr));
    }

    // One frame, its slice of the story included: milliseconds from the end of the one before to its own end.
    double frame(std::vector<uint8_t>* pixels) {
        glfwPollEvents();
        const auto now = static_cast<float>(millisecondsSince(start_) / 1000);
        if (const auto commands = swapchain_.begin({0.55f, 0.70f, 0.85f, 1.0f})) {
            scene_.draw(*commands, swapchain_.extent(), now);
            overlay_.draw(*commands, controls_, {story_.text(), gpu_.name, frameMs_, tokensPerSecond_});
            if (controls_.again) story_.begin(options_.prompt, ++seed_);
            // Before this frame's submission: an older frame has just ended, so the slice before it has too, and on a shared
            // queue the new one does not wait behind this frame.
            if (controls_.generate) story_.step(static_cast<uint32_t>(controls_.budgetUs));
            swapchain_.end(pixels);
        }

        const double ms = millisecondsSince(frameEnd_);
        frameEnd_ = Clock::now();
        frameMs_ += 0.1f * (static_cast<float>(ms) - frameMs_);
        if (millisecondsSince(secondStart_) > 1000) {
            tokensPerSecond_ = 1000.0f * static_cast<float>(story_.tokens() - secondTokens_) / static_cast<float>(millisecondsSince(secondStart_));
            secondStart_ = Clock::now();
            secondTokens_ = story_.tokens();
        }
        return ms;
    }

    void takeScreenshot() {
        std::vector<uint8_t> pixels;
        frame(&pixels);
        const VkExtent2D extent = swapchain_.extent();
        const auto width = static_cast<int>(extent.width), height = static_cast<int>(extent.height);
        if (pixels.empty() || !stbi_write_png(options_.screenshot.c_str(), width, height, 4, pixels.data(), width * 4)) {
            throw std::runtime_error("cannot write " + options_.screenshot);
        }
    }

    Options options_;
    Glfw glfw_;
    Window window_;
    Gpu gpu_;
    Swapchain swapchain_;
    Scene scene_;
    Overlay overlay_;
    Story story_;
    Overlay::Controls controls_;
    uint64_t seed_ = 0;
    Clock::time_point start_ = Clock::now();
    Clock::time_point frameEnd_ = Clock::now();
    Clock::time_point secondStart_ = Clock::now();
    uint32_t secondTokens_ = 0;
    float frameMs_ = 0;
    float tokensPerSecond_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    try {
        const Options options = parse(argc, argv);
        Program program(options);
        if (options.frames > 0) {
            program.measure();
        } else {
            program.runUntilClosed();
        }
        return 0;
    } catch (const std::invalid_argument& error) {
        std::fprintf(stderr, "error: %s\nusage: story_window MODEL_DIR [--frames N] [--budget-us N] [--prompt TEXT] [--screenshot FILE.png]\n",
                     error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
