// doctest's main for every test program; says at the end what was skipped, so that a skip is never silent.

#define DOCTEST_CONFIG_IMPLEMENT
#include "support/shared_data.h"

#include <doctest/doctest.h>

#include <cstdio>

int main(int argc, char** argv) {
    doctest::Context context(argc, argv);
    const int result = context.run();
    if (const int skips = vulcat::test::skipCount(); skips > 0) std::printf("SKIPPED: %d test cases\n", skips);
    return result;
}
