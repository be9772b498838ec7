// The processor as a device: its memory is the process's, and whatever is asked for is done at once.
#include <algorithm>
#include <cstring>

#include "layers/ops/device.h"
#include "layers/ops/elementwise.h"
#include "layers/tensor/buffer.h"

namespace lockstep {
namespace {

std::size_t size(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

class Host final : public Device {
 public:
  bool is_host() const override { return true; }
  std::string fingerprint() const override { return ""; }
  std::string identity() const override { return ""; }
  std::size_t free_bytes() const override { return 0; }

  std::shared_ptr<std::byte> allocate(std::size_t bytes) const override {
    auto buffer = std::make_shared<Buffer>(bytes);
    std::byte* const start = buffer->data();
    return {std::move(buffer), start};
  }
  void copy_in(void* to, const void* from, std::size_t bytes) const override { copy_bytes(to, from, bytes); }
  void copy_out(void* to, const void* from, std::size_t bytes) const override { copy_bytes(to, from, bytes); }
  void begin_copy_in(void* to, const void* from, std::size_t bytes) const override {
    copy_bytes(to, from, bytes);
  }
  void await_copy(const void* /*to*/, int /*thread*/) const override {}
  std::shared_ptr<std::byte> allocate_on_host(std::size_t bytes) const override { return allocate(bytes); }
  void enter() const override {}
  bool done() const override { return true; }
  void wait() const override {}

  std::unique_ptr<Kernel> make_convolution(const Convolution& convolution,
                                           const KernelShape& shape) const override {
    return lockstep::make_convolution(convolution, shape);
  }
  std::unique_ptr<Kernel> make_linear(const Linear& linear, const KernelShape& shape) const override {
    return lockstep::make_linear(linear, shape);
  }
  std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape) const override {
    return lockstep::make_pooling(pooling, shape);
  }
  std::unique_ptr<Kernel> make_global_average_pooling(const SampleShape& in,
                                                      const KernelShape& shape) const override {
    return lockstep::make_global_average_pooling(in, shape);
  }
  std::unique_ptr<Kernel> make_flatten(const SampleShape& in, const KernelShape& shape) const override {
    return lockstep::make_flatten(in, shape);
  }
  std::unique_ptr<Kernel> make_dropout(const SampleShape& in, float probability, const Random& random,
                                       const KernelShape& shape) const override {
    return lockstep::make_dropout(in, probability, random, shape);
  }
  std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape) const override {
    return lockstep::make_relu(in, shape);
  }
  std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape) const override {
    return lockstep::make_add(in, shape);
  }

  std::size_t norm_scratch_bytes(std::int64_t /*rows*/, std::int64_t /*channels*/) const override {
    return 0;
  }
  void moments(const Rows& at, const void* x, double* moments) const override {
    with_element(at.element,
                 [&](auto element) { norm::moments(as(element, x), at.rows, at.channels, moments); });
  }
  void normalize(const Rows& at, const void* x, const void* residual, bool relu, const norm::Affine& affine,
                 void* y) const override {
    with_element(at.element, [&](auto element) {
      norm::normalize(as(element, x), as(element, residual), relu, affine, at.rows, at.channels,
                      as(element, y));
    });
  }
  void backward_sums(const Rows& at, const void* x, const void* y, void* dy, bool relu, bool residual,
                     const norm::Affine& affine, void* residual_gradient, bool accumulate,
                     double* sums) const override {
    with_element(at.element, [&](auto element) {
      norm::backward_sums(as(element, x), as(element, y), as(element, dy), relu, residual, affine, at.rows,
                          at.channels, as(element, residual_gradient), accumulate, sums);
    });
  }
  void backward_apply(const Rows& at, const void* x, const void* dy, bool masked, const norm::Affine& affine,
                      const norm::GroupSums& sums, void* dx) const override {
    with_element(at.element, [&](auto element) {
      norm::backward_apply(as(element, x), as(element, dy), masked, affine, sums, at.rows, at.channels,
                           as(element, dx));
    });
  }
  void backward_frozen(const Rows& at, const void* x, const void* dy, bool masked, const norm::Affine& affine,
                       void* dx) const override {
    with_element(at.element, [&](auto element) {
      norm::backward_frozen(as(element, x), as(element, dy), masked, affine, at.rows, at.channels,
                            as(element, dx));
    });
  }

  std::size_t loss_scratch_bytes(std::int64_t /*samples*/) const override { return 0; }
  void softmax_cross_entropy(const Targets& targets, const float* logits, LossSums* sums,
                             float* gradient) const override {
    const std::size_t count = targets.labels.size() * size(targets.classes);
    *sums = lockstep::softmax_cross_entropy(
        {logits, count}, targets.labels, targets.classes, targets.smoothing, targets.global,
        gradient == nullptr ? std::span<float>() : std::span(gradient, count));
  }

  void add_into(int /*thread*/, Element element, void* sum, const void* addend,
                std::int64_t count) const override {
    with_element(element, [&](auto type) {
      lockstep::add_into({as(type, sum), size(count)}, std::span(as(type, addend), size(count)));
    });
  }
  void convert(int /*thread*/, const float* from, Bf16* to, std::int64_t count) const override {
    lockstep::convert(std::span(from, size(count)), std::span(to, size(count)));
  }
  void convert(int /*thread*/, const Bf16* from, float* to, std::int64_t count) const override {
    lockstep::convert(std::span(from, size(count)), std::span(to, size(count)));
  }
  void convert(int /*thread*/, const double* from, float* to, std::int64_t count) const override {
    std::transform(from, from + count, to, [](double value) { return static_cast<float>(value); });
  }
  void fold_sums(const float* first, std::int64_t stride, std::int64_t leaves, std::int64_t count,
                 float* out) const override {
    const auto leaf = [=](std::int64_t number) { return first + number * stride; };
    lockstep::fold_sums({0, leaves}, leaves, leaf, out, size(count));
  }

  double sum_of_squares(std::span<const float> values) const override {
    return lockstep::sum_of_squares(values);
  }
  bool all_finite(std::span<const float> values) const override { return lockstep::all_finite(values); }
  void scale(std::span<float> values, float factor) const override {
    for (float& value : values) value *= factor;
  }
  void update_sgd(float* parameters, const float* gradients, float* buffer, bool nesterov,
                  const SgdScalars& scalars, std::int64_t count) const override {
    const SgdScalars s = scalars;  // which no parameter can be
    if (buffer == nullptr) {
      for (std::int64_t i = 0; i < count; ++i) update_plain(parameters[i], gradients[i], s);
    } else if (nesterov) {
      for (std::int64_t i = 0; i < count; ++i)
        update_with_nesterov(parameters[i], gradients[i], buffer[i], s);
    } else {
      for (std::int64_t i = 0; i < count; ++i)
        update_with_momentum(parameters[i], gradients[i], buffer[i], s);
    }
  }
  void update_adamw(float* parameters, const float* gradients, float* mean, float* square,
                    const AdamWScalars& scalars, std::int64_t count) const override {
    const AdamWScalars s = scalars;
    for (std::int64_t i = 0; i < count; ++i) {
      lockstep::update_adamw(parameters[i], gradients[i], mean[i], square[i], s);
    }
  }

 private:
  static void copy_bytes(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
  }
};

}  // namespace

const Device& host() {
  static const Host device;
  return device;
}

}  // namespace lockstep
