#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>

#include "layers/ops/cuda/elementwise.h"
#include "layers/ops/cuda/kernels.h"
#include "layers/ops/cuda/loss.h"
#include "layers/ops/cuda/norm.h"
#include "layers/ops/device.h"
#include "layers/ops/memory.h"

namespace lockstep::cuda {

// A GPU as a device of the plan. Machine: cuda::Device (or, in tests, what runs the same threads on the CPU):
// its runners, memory, and copies.
template <class Machine>
class Operations final : public lockstep::Device {
 public:
  explicit Operations(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}

  bool is_host() const override { return false; }
  std::string fingerprint() const override { return machine_->fingerprint(); }
  std::string identity() const override { return machine_->identity(); }
  std::size_t free_bytes() const override { return machine_->free_bytes(); }
  std::shared_ptr<std::byte> allocate(std::size_t bytes) const override { return machine_->allocate(bytes); }
  void copy_in(void* to, const void* from, std::size_t bytes) const override {
    if (bytes > 0) machine_->copy_in(to, from, bytes);
  }
  void copy_out(void* to, const void* from, std::size_t bytes) const override {
    if (bytes > 0) machine_->copy_out(to, from, bytes);
  }
  void begin_copy_in(void* to, const void* from, std::size_t bytes) const override {
    if (bytes > 0) machine_->begin_copy_in(to, from, bytes);
  }
  void await_copy(const void* to, int thread) const override { machine_->await_copy(to, thread); }
  std::shared_ptr<std::byte> allocate_on_host(std::size_t bytes) const override {
    return machine_->allocate_on_host(bytes);
  }
  void enter() const override { machine_->make_current(); }
  bool done() const override { return machine_->done(); }
  void wait() const override { machine_->wait(); }

  // GradientMemory. Gradients are final, and shards are at work on what is before them: not behind those.
  std::shared_ptr<float> floats(std::size_t count) const override {
    auto memory = machine_->allocate(count * sizeof(float));
    auto* const start = reinterpret_cast<float*>(memory.get());
    return {std::move(memory), start};
  }
  void copy(const float* from, float* to, std::size_t count) const override {
    if (count == 0) return;
    cuda::copy(machine_->reductions(), from, to, static_cast<std::int64_t>(count));
    machine_->reductions().wait();
  }
  void fold(Range node, std::span<const Part<float>> parts, float* out, std::size_t count) const override {
    const float* const sum = fold_parts(node, parts, static_cast<std::int64_t>(count));
    if (sum != out) cuda::copy(machine_->reductions(), sum, out, static_cast<std::int64_t>(count));
    machine_->reductions().wait();
  }

  std::unique_ptr<Kernel> make_convolution(const Convolution& convolution,
                                           const KernelShape& shape) const override {
    return cuda::make_convolution(current(), convolution, shape);
  }
  std::unique_ptr<Kernel> make_linear(const Linear& linear, const KernelShape& shape) const override {
    return cuda::make_linear(current(), linear, shape);
  }
  std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape) const override {
    return cuda::make_pooling(current(), pooling, shape);
  }
  std::unique_ptr<Kernel> make_global_average_pooling(const SampleShape& in,
                                                      const KernelShape& shape) const override {
    return cuda::make_global_average_pooling(current(), in, shape);
  }
  std::unique_ptr<Kernel> make_flatten(const SampleShape& in, const KernelShape& shape) const override {
    return cuda::make_flatten(current(), in, shape);
  }
  std::unique_ptr<Kernel> make_dropout(const SampleShape& in, float probability, const Random& random,
                                       const KernelShape& shape) const override {
    return cuda::make_dropout(current(), in, probability, random, shape);
  }
  std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape) const override {
    return cuda::make_relu(current(), in, shape);
  }
  std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape) const override {
    return cuda::make_add(current(), in, shape);
  }

  std::size_t norm_scratch_bytes(std::int64_t rows, std::int64_t channels) const override {
    return cuda::norm::scratch_bytes(rows, channels);
  }
  void moments(const Rows& at, const void* x, double* moments) const override {
    with_element(at.element, [&](auto element) {
      cuda::norm::moments(runner(at.thread), as(element, x), at.rows, at.channels, at.scratch, moments);
    });
  }
  void normalize(const Rows& at, const void* x, const void* residual, bool relu,
                 const lockstep::norm::Affine& affine, void* y) const override {
    with_element(at.element, [&](auto element) {
      cuda::norm::normalize(runner(at.thread), as(element, x), as(element, residual), relu, constants(affine),
                            at.rows, at.channels, as(element, y));
    });
  }
  void backward_sums(const Rows& at, const void* x, const void* y, void* dy, bool relu, bool residual,
                     const lockstep::norm::Affine& affine, void* residual_gradient, bool accumulate,
                     double* sums) const override {
    with_element(at.element, [&](auto element) {
      cuda::norm::backward_sums(runner(at.thread), as(element, x), as(element, y), as(element, dy), relu,
                                residual, constants(affine), at.rows, at.channels,
                                as(element, residual_gradient), accumulate, at.scratch, sums);
    });
  }
  void backward_apply(const Rows& at, const void* x, const void* dy, bool masked,
                      const lockstep::norm::Affine& affine, const lockstep::norm::GroupSums& sums,
                      void* dx) const override {
    with_element(at.element, [&](auto element) {
      cuda::norm::backward_apply(runner(at.thread), as(element, x), as(element, dy), masked,
                                 constants(affine), {sums.dz.data(), sums.dz_xhat.data(), sums.count},
                                 at.rows, at.channels, as(element, dx));
    });
  }
  void backward_frozen(const Rows& at, const void* x, const void* dy, bool masked,
                       const lockstep::norm::Affine& affine, void* dx) const override {
    with_element(at.element, [&](auto element) {
      cuda::norm::backward_frozen(runner(at.thread), as(element, x), as(element, dy), masked,
                                  constants(affine), at.rows, at.channels, as(element, dx));
    });
  }

  std::size_t loss_scratch_bytes(std::int64_t samples) const override {
    return cuda::loss_scratch_bytes(samples);
  }
  void softmax_cross_entropy(const Targets& targets, const float* logits, LossSums* sums,
                             float* gradient) const override {
    static_assert(sizeof(LossSums) == sizeof(LossOfSamples));
    const Logits values{logits, targets.labels.data(), std::ssize(targets.labels), targets.classes};
    cuda::softmax_cross_entropy(runner(targets.thread), values, targets.smoothing, targets.global,
                                targets.scratch, reinterpret_cast<LossOfSamples*>(sums), gradient);
  }

  void add_into(int thread, Element element, void* sum, const void* addend,
                std::int64_t count) const override {
    with_element(element,
                 [&](auto type) { cuda::add_into(runner(thread), as(type, sum), as(type, addend), count); });
  }
  void convert(int thread, const float* from, Bf16* to, std::int64_t count) const override {
    cuda::convert(runner(thread), from, to, count);
  }
  void convert(int thread, const Bf16* from, float* to, std::int64_t count) const override {
    cuda::convert(runner(thread), from, to, count);
  }
  void convert(int thread, const double* from, float* to, std::int64_t count) const override {
    cuda::round(runner(thread), from, to, count);
  }
  void fold_sums(const float* first, std::int64_t stride, std::int64_t leaves, std::int64_t count,
                 float* out) const override {
    cuda::fold_sums(runner(0), first, stride, leaves, count, out);
  }

  double sum_of_squares(std::span<const float> values) const override {
    if (values.empty()) return 0;
    const std::int64_t count = std::ssize(values);
    double sum = 0;
    with_answer(sum, cuda::sum_of_squares_scratch_bytes(count), [&](double* answer, std::byte* scratch) {
      cuda::sum_of_squares(runner(0), values.data(), count, scratch, answer);
    });
    return sum;
  }
  bool all_finite(std::span<const float> values) const override {
    std::int32_t found = 0;
    with_answer(found, 0, [&](std::int32_t* answer, std::byte*) {
      cuda::find_infinite(runner(0), values.data(), std::ssize(values), answer);
    });
    return found == 0;
  }
  void scale(std::span<float> values, float factor) const override {
    cuda::scale(runner(0), values.data(), factor, std::ssize(values));
  }
  void update_sgd(float* parameters, const float* gradients, float* buffer, bool nesterov,
                  const SgdScalars& scalars, std::int64_t count) const override {
    cuda::update_sgd(runner(0), parameters, gradients, buffer, nesterov, scalars, count);
  }
  void update_adamw(float* parameters, const float* gradients, float* mean, float* square,
                    const AdamWScalars& scalars, std::int64_t count) const override {
    cuda::update_adamw(runner(0), parameters, gradients, mean, square, scalars, count);
  }

 private:
  static constexpr std::size_t answer_bytes = 64;  // more than any answer has

  const auto& runner(int thread) const { return machine_->runner(thread); }
  const Machine& current() const {
    machine_->make_current();
    return *machine_;
  }
  static norm::Constants constants(const lockstep::norm::Affine& affine) {
    return {affine.mean.data(), affine.inverse_deviation.data(), affine.scale.data(), affine.shift.data()};
  }

  // Takes the next parts, which are those of `node`, and answers where its value lies: in the first of them.
  float* fold_parts(Range node, std::span<const Part<float>>& parts, std::int64_t count) const {
    if (parts.front().node == node) {
      float* const known = parts.front().values;
      parts = parts.subspan(1);
      return known;
    }
    float* const left = fold_parts({node.begin, split(node)}, parts, count);
    const float* const right = fold_parts({split(node), node.end}, parts, count);
    cuda::add_into(machine_->reductions(), left, right, count);
    return left;
  }

  // Calls work(where the answer lies on the device, scratch): it begins as `answer`, and comes back.
  template <class Answer, class Work>
  void with_answer(Answer& answer, std::size_t scratch_bytes, const Work& work) const {
    const std::lock_guard lock(answers_);
    answer_.reserve(*this, answer_bytes + scratch_bytes);
    auto* const there = answer_.template data<Answer>();
    copy_in(there, &answer, sizeof(answer));
    work(there, answer_.data() + answer_bytes);
    copy_out(&answer, there, sizeof(answer));
  }

  std::unique_ptr<Machine> machine_;
  mutable std::mutex answers_;
  mutable Memory answer_;
};

}  // namespace lockstep::cuda
