#pragma once
// A struct of vulcat.h as a caller begins it: all zero but its size.

namespace vulcat::test {

template <class Struct>
Struct sized() {
    Struct value{};
    value.structSize = sizeof value;
    return value;
}

}  // namespace vulcat::test
