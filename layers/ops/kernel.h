#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/tensor/element.h"
#include "layers/tensor/shape.h"

namespace lockstep {

class Device;

// What a convolution or a linear layer does with a result before it stores it: adds inputs[1], then applies
// ReLU.
struct Epilogue {
  bool residual = false;
  bool relu = false;
};

// What a kernel is made for. Its primitives are created for exactly this shard shape, on one thread, outside
// any parallel region (rule 2).
struct KernelShape {
  std::int64_t samples = 0;        // of the shard, at least 1
  int threads = 1;                 // threads that may run it at once, each with its own index
  bool training = true;            // false: `backward` is never called, dropout passes its input through
  bool input_gradients = true;     // false: `backward` is never asked for any
  Element element = Element::f32;  // of activations and their gradients
  bool allow_reference = true;     // false: UsageError where the library has its reference code alone
  Epilogue epilogue{};             // of a layer that joins what follows (Layer::joins), where not training
  const Device* device = nullptr;  // that computes it (device.h); null: this machine's processor
};

// Which shard of which step, for what must not depend on who computes it.
struct ShardPosition {
  int thread = 0;
  std::int64_t step = 0;
  std::int64_t first_sample = 0;  // position of the shard's first sample in the global batch
};

inline constexpr std::size_t max_inputs = 2;
inline constexpr std::size_t max_parameters = 4;

// Pointers into one shard. Activations and their gradients are of the kernel's element type and start on 64
// bytes; unused places are null. `parameters` are plain arrays in the layer's order (weight, bias), and they
// and their gradients are in fp32 always.
struct ForwardArguments {
  std::array<const void*, max_inputs> inputs{};
  void* output = nullptr;
  std::array<const float*, max_parameters> parameters{};
  std::byte* saved = nullptr;    // saved_bytes(), kept until the shard's backward
  std::byte* scratch = nullptr;  // scratch_bytes(), of this thread alone
  ShardPosition position;
};

struct BackwardArguments {
  std::array<const void*, max_inputs> inputs{};  // null unless the layer says that its backward reads them
  const void* output = nullptr;                  // likewise
  const void* output_gradient = nullptr;
  std::array<void*, max_inputs> input_gradients{};  // overwritten; null where not wanted
  std::array<const float*, max_parameters> parameters{};
  std::array<float*, max_parameters> parameter_gradients{};  // this shard's own; overwritten
  bool native_gradient = false;                              // Kernel::has_native_gradient
  const std::byte* saved = nullptr;
  std::byte* scratch = nullptr;
  ShardPosition position;
};

// What of a step a kernel is prepared for: its parameters may lie otherwise for each.
enum class Pass : std::uint8_t { forward, backward };

// Whether the library calls this implementation its reference: code without vectors, for what nothing else
// covers.
inline bool is_reference(std::string_view implementation) {
  return implementation.find("ref") != std::string_view::npos;
}

// A primitive of the library behind a kernel, with nothing around it: for benchmarks. `input` and
// `output_gradient` are of the kernel's element type, `result` has room for an input or an output in fp32,
// and `scratch` for the kernel's scratch_bytes(). Only the time it takes means anything.
struct BarePrimitive {
  enum class Pass : std::uint8_t { forward, backward_data, backward_weight };
  Pass pass = Pass::forward;
  std::string implementation;  // what the library calls it
  std::function<void(const void* input, const void* output_gradient, void* result, std::byte* scratch)> run;
};

// One operation, compiled for one number of samples. Knows one shard; no rank, batch or neighbour.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual std::size_t scratch_bytes() const { return 0; }
  virtual std::size_t saved_bytes() const { return 0; }
  // What `prepare` fills.
  virtual std::size_t prepared_bytes(Pass /*pass*/) const { return 0; }
  // Before the first shard's `forward` or `backward` of a step, on one thread, where prepared_bytes is not 0:
  // brings parameters to the layout that primitives read. The caller keeps `memory`, which starts on 64
  // bytes, as it is until the last shard's.
  virtual void prepare(Pass /*pass*/, std::array<const float*, max_parameters> /*parameters*/,
                       std::byte* /*memory*/) {}
  virtual void forward(const ForwardArguments& arguments) const = 0;
  virtual void backward(const BackwardArguments& arguments) const = 0;
  // Whether `backward` can leave the first parameter's gradient as its primitive makes it: the plain array's
  // elements in an order that is the same for every shard, and that `plain_gradient` brings to the plain one.
  // Sums over shards are then made first, and brought there once.
  virtual bool has_native_gradient() const { return false; }
  virtual void plain_gradient(const float* /*native*/, float* /*plain*/, std::byte* /*scratch*/) const {}
  // Of which forward and backward consist, where a library computes them. They live as long as the kernel.
  virtual std::vector<BarePrimitive> bare_primitives() const { return {}; }
};

}  // namespace lockstep
