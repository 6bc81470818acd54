#include "vk/spirv.h"

#include "vk/spirv_fold.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

namespace vulcat::vk {
namespace {

// Numbers of the SPIR-V specification, as far as they are read here.
constexpr uint32_t kSpirvMagic = 0x07230203;
enum Op : uint32_t {
    OpEntryPoint = 15,
    OpExecutionMode = 16,
    OpCapability = 17,
    OpTypeBool = 20,
    OpTypeInt = 21,
    OpTypeFloat = 22,
    OpTypeVector = 23,
    OpTypeMatrix = 24,
    OpTypeImage = 25,
    OpTypeSampledImage = 27,
    OpTypeArray = 28,
    OpTypeRuntimeArray = 29,
    OpTypeStruct = 30,
    OpTypePointer = 32,
    OpConstant = 43,
    OpConstantComposite = 44,
    OpSpecConstant = 50,
    OpConstantTrue = 41,
    OpConstantFalse = 42,
    OpSpecConstantTrue = 48,
    OpSpecConstantFalse = 49,
    OpSpecConstantComposite = 51,
    OpSpecConstantOp = 52,
    OpVariable = 59,
    OpDecorate = 71,
    OpMemberDecorate = 72,
    OpCompositeExtract = 81,
    OpLogicalNot = 168,
    OpSelect = 169,
};
constexpr uint32_t kGlCompute = 5;
constexpr uint32_t kModeLocalSize = 17;
constexpr uint32_t kDecorationSpecId = 1;
constexpr uint32_t kDecorationBufferBlock = 3;
constexpr uint32_t kDecorationArrayStride = 6;
constexpr uint32_t kDecorationBuiltIn = 11;
constexpr uint32_t kDecorationBinding = 33;
constexpr uint32_t kDecorationDescriptorSet = 34;
constexpr uint32_t kDecorationOffset = 35;
constexpr uint32_t kBuiltInNumWorkgroups = 24;
constexpr uint32_t kBuiltInWorkgroupSize = 25;
constexpr uint32_t kClassUniformConstant = 0;
constexpr uint32_t kClassUniform = 2;
constexpr uint32_t kClassWorkgroup = 4;
constexpr uint32_t kClassPushConstant = 9;
constexpr uint32_t kClassStorageBuffer = 12;
constexpr uint32_t kImageDimBuffer = 5;
constexpr uint32_t kImageSampled = 1;
constexpr int kMaxTypeDepth = 16;

[[noreturn]] void reject(const std::string& what) {
    throw Error(Result::InvalidArgument, "SPIR-V module: " + what);
}

using Words = std::span<const uint32_t>;

/// One pass collects what each id is; the questions are answered from that.
class Reader {
  public:
    Reader(Words words, Words constants) : constants_(constants) {
        if (words.size() < 5 || words[0] != kSpirvMagic) reject("no SPIR-V header");
        size_t at = 5;
        while (at < words.size()) {
            const uint32_t length = words[at] >> 16;
            if (length == 0 || length > words.size() - at) reject("instruction beyond the end");
            take(words[at] & 0xffff, words.subspan(at + 1, length - 1));
            at += length;
        }
        if (!compute_) reject("no compute entry point");
        for (const auto& [id, variable] : variables_) readVariable(id, variable);
        readLocalSize();
        for (const auto& [id, decorations] : decorations_) {
            if (decorations.specId) module_.specIds.push_back(*decorations.specId);
        }
        std::sort(module_.specIds.begin(), module_.specIds.end());
        std::sort(module_.bindings.begin(), module_.bindings.end(),
                  [](const auto& a, const auto& b) { return a.binding < b.binding; });
        // A shader may declare one binding twice, to read the same bytes as float and as vec4.
        const auto same = [](const auto& a, const auto& b) { return a.binding == b.binding && a.kind == b.kind; };
        module_.bindings.erase(std::unique(module_.bindings.begin(), module_.bindings.end(), same),
                               module_.bindings.end());
    }
    SpirvModule take() { return std::move(module_); }

  private:
    struct Instruction {
        uint32_t op = 0;
        Words operands;  ///< after the result id (and type, for constants)
    };
    struct Decorations {
        std::optional<uint32_t> specId, binding, set, arrayStride;
        bool bufferBlock = false;
        bool workgroupSize = false;
        std::map<uint32_t, uint32_t> memberOffsets;
    };
    struct Variable {
        uint32_t type = 0;
        uint32_t storageClass = 0;
    };

    static uint32_t at(Words words, size_t index) {
        if (index >= words.size()) reject("instruction with too few words");
        return words[index];
    }

    void take(uint32_t op, Words words) {
        switch (op) {
            case OpCapability:
                module_.capabilities.push_back(at(words, 0));
                break;
            case OpEntryPoint:
                compute_ = compute_ || at(words, 0) == kGlCompute;
                break;
            case OpExecutionMode:
                if (at(words, 1) == kModeLocalSize) module_.localSize = {at(words, 2), at(words, 3), at(words, 4)};
                break;
            case OpDecorate:
                decorate(words);
                break;
            case OpMemberDecorate:
                if (at(words, 2) == kDecorationOffset)
                    decorations_[at(words, 0)].memberOffsets[at(words, 1)] = at(words, 3);
                break;
            case OpTypeBool:
            case OpTypeInt:
            case OpTypeFloat:
            case OpTypeVector:
            case OpTypeMatrix:
            case OpTypeImage:
            case OpTypeSampledImage:
            case OpTypeArray:
            case OpTypeRuntimeArray:
            case OpTypeStruct:
            case OpTypePointer:
                types_[at(words, 0)] = {op, words.subspan(1)};
                break;
            case OpConstantTrue:
            case OpConstantFalse:
            case OpConstant:
            case OpConstantComposite:
            case OpSpecConstant:
            case OpSpecConstantTrue:
            case OpSpecConstantFalse:
            case OpSpecConstantComposite:
            case OpSpecConstantOp:
                values_[at(words, 1)] = {op, words.subspan(2)};
                break;
            case OpVariable:
                variables_[at(words, 1)] = {at(words, 0), at(words, 2)};
                break;
            default:
                break;
        }
    }

    void decorate(Words words) {
        Decorations& target = decorations_[at(words, 0)];
        switch (at(words, 1)) {
            case kDecorationSpecId:
                target.specId = at(words, 2);
                break;
            case kDecorationBinding:
                target.binding = at(words, 2);
                break;
            case kDecorationDescriptorSet:
                target.set = at(words, 2);
                break;
            case kDecorationArrayStride:
                target.arrayStride = at(words, 2);
                break;
            case kDecorationBufferBlock:
                target.bufferBlock = true;
                break;
            case kDecorationBuiltIn:
                target.workgroupSize = at(words, 2) == kBuiltInWorkgroupSize;
                if (at(words, 2) == kBuiltInNumWorkgroups) module_.readsWorkgroupCount = true;
                break;
            default:
                break;
        }
    }

    /// The value of an integer or boolean constant, specialised; nothing where an expression is beyond the operators known.
    std::optional<uint32_t> value(uint32_t id, int depth = 0) const {
        const auto found = values_.find(id);
        if (found == values_.end() || depth > kMaxTypeDepth) return std::nullopt;
        const auto decorations = decorations_.find(id);
        if (decorations != decorations_.end() && decorations->second.specId &&
            *decorations->second.specId < constants_.size()) {
            return constants_[*decorations->second.specId];
        }
        const Instruction& instruction = found->second;
        switch (instruction.op) {
            case OpConstant:
            case OpSpecConstant:
                return at(instruction.operands, 0);
            case OpConstantTrue:
            case OpSpecConstantTrue:
                return 1;
            case OpConstantFalse:
            case OpSpecConstantFalse:
                return 0;
            case OpSpecConstantOp:
                return expression(instruction.operands, depth + 1);
            default:
                return std::nullopt;
        }
    }

    std::optional<uint32_t> expression(Words operands, int depth) const {
        if (operands.size() < 2) return std::nullopt;
        if (operands[0] == OpCompositeExtract) return component(operands, depth);
        const auto a = value(operands[1], depth);
        if (!a) return std::nullopt;
        if (operands[0] == OpLogicalNot) return *a == 0;
        if (operands.size() < 3) return std::nullopt;
        if (operands[0] == OpSelect) return operands.size() < 4 ? std::nullopt : value(operands[*a != 0 ? 2 : 3], depth);
        const auto b = value(operands[2], depth);
        return b ? foldSpirv(operands[0], *a, *b) : std::nullopt;
    }

    /// Of a vector of constants.
    std::optional<uint32_t> component(Words operands, int depth) const {
        const auto found = values_.find(operands[1]);
        if (operands.size() != 3 || found == values_.end()) return std::nullopt;
        const Instruction& vector = found->second;
        if (vector.op != OpConstantComposite && vector.op != OpSpecConstantComposite) return std::nullopt;
        return operands[2] < vector.operands.size() ? value(vector.operands[operands[2]], depth) : std::nullopt;
    }

    const Instruction& type(uint32_t id) const {
        const auto found = types_.find(id);
        if (found == types_.end()) reject("unknown type " + std::to_string(id));
        return found->second;
    }

    uint32_t sizeOf(uint32_t id, int depth = 0) const {
        if (depth > kMaxTypeDepth) reject("types nested too deeply");
        const Instruction& item = type(id);
        switch (item.op) {
            case OpTypeBool:
                return 4;
            case OpTypeInt:
            case OpTypeFloat:
                return at(item.operands, 0) / 8;
            case OpTypeVector:
            case OpTypeMatrix:
                return at(item.operands, 1) * sizeOf(at(item.operands, 0), depth + 1);
            case OpTypeArray: {
                const auto decorations = decorations_.find(id);
                const uint32_t stride = decorations != decorations_.end() && decorations->second.arrayStride
                                            ? *decorations->second.arrayStride
                                            : sizeOf(at(item.operands, 0), depth + 1);
                const auto length = value(at(item.operands, 1));
                if (!length) reject("an array whose length is not understood");  // its memory would count as none
                return stride * *length;
            }
            case OpTypeStruct:
                return structSize(id, item, depth);
            default:
                return 0;
        }
    }

    uint32_t structSize(uint32_t id, const Instruction& item, int depth) const {
        const auto decorations = decorations_.find(id);
        uint32_t size = 0;
        for (uint32_t i = 0; i < item.operands.size(); ++i) {
            uint32_t offset = size;
            if (decorations != decorations_.end()) {
                const auto found = decorations->second.memberOffsets.find(i);
                if (found != decorations->second.memberOffsets.end()) offset = found->second;
            }
            size = std::max(size, offset + sizeOf(item.operands[i], depth + 1));
        }
        return size;
    }

    void readVariable(uint32_t id, const Variable& variable) {
        const Instruction& pointer = type(variable.type);
        if (pointer.op != OpTypePointer) reject("a variable that is no pointer");
        const uint32_t target = at(pointer.operands, 1);
        if (variable.storageClass == kClassPushConstant)
            module_.pushBytes = std::max(module_.pushBytes, sizeOf(target));
        if (variable.storageClass == kClassWorkgroup) module_.sharedBytes += sizeOf(target);
        const bool descriptor = variable.storageClass == kClassStorageBuffer ||
                                variable.storageClass == kClassUniform ||
                                variable.storageClass == kClassUniformConstant;
        if (descriptor) module_.bindings.push_back(readBinding(id, variable.storageClass, target));
    }

    SpirvModule::Binding readBinding(uint32_t id, uint32_t storageClass, uint32_t target) {
        const Decorations& decorations = decorations_[id];
        if (!decorations.binding || decorations.set.value_or(0) != 0) {
            throw Error(Result::Unsupported, "SPIR-V module: a descriptor outside of set 0");
        }
        const uint32_t number = *decorations.binding;
        if (storageClass == kClassStorageBuffer ||
            (storageClass == kClassUniform && decorations_[target].bufferBlock)) {
            return {number, BindingKind::Storage};
        }
        const Instruction* image = storageClass == kClassUniformConstant ? &type(target) : nullptr;
        if (image != nullptr && image->op == OpTypeSampledImage) image = &type(at(image->operands, 0));
        if (image != nullptr && image->op == OpTypeImage && at(image->operands, 1) == kImageDimBuffer &&
            at(image->operands, 5) == kImageSampled) {
            return {number, BindingKind::UniformTexel};
        }
        throw Error(Result::Unsupported, "SPIR-V module: binding " + std::to_string(number) +
                                             " is neither a storage buffer nor a uniform texel buffer");
    }

    void readLocalSize() {
        for (const auto& [id, decorations] : decorations_) {
            const auto found = values_.find(id);
            if (!decorations.workgroupSize || found == values_.end()) continue;
            for (size_t i = 0; i < 3; ++i) {
                const auto size = value(at(found->second.operands, i));
                if (!size) reject("a workgroup size that is no constant");
                module_.localSize[i] = *size;
            }
        }
    }

    Words constants_;
    SpirvModule module_;
    bool compute_ = false;
    std::map<uint32_t, Decorations> decorations_;
    std::map<uint32_t, Instruction> types_;
    std::map<uint32_t, Instruction> values_;
    std::map<uint32_t, Variable> variables_;
};

}  // namespace

SpirvModule readSpirv(std::span<const uint32_t> words, std::span<const uint32_t> constants) {
    return Reader(words, constants).take();
}

}  // namespace vulcat::vk
