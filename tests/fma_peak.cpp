// GFLOP/s of 256-bit fused multiply-adds on all cores together: what tests/compare_peers.sh measures prefill against.
// Built by that script: g++ -O2 -mavx2 -mfma -pthread tests/fma_peak.cpp
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

constexpr int kChains = 10;  // more than latency x throughput of any core so far, fewer than 16 registers
constexpr long kRounds = 4'000'000;
volatile float sink;

void chains() {
    const __m256 factor = _mm256_set1_ps(0.999f);
    __m256 sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = _mm256_set1_ps(static_cast<float>(i));
    for (long round = 0; round < kRounds; ++round) {
#pragma GCC unroll 10
        for (int i = 0; i < kChains; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, factor);
    }
    for (int i = 1; i < kChains; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
    sink = _mm256_cvtss_f32(sums[0]);
}

}  // namespace

int main() {
    const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
    double best = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> team;
        for (unsigned i = 0; i < cores; ++i) team.emplace_back(chains);
        for (std::thread& thread : team) thread.join();
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        best = std::max(best, 16e-9 * kChains * kRounds * cores / seconds);
    }
    std::printf("%.1f\n", best);
}
