#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "comm/gradients/memory.h"
#include "layers/loss/softmax_cross_entropy.h"
#include "layers/ops/kernels.h"
#include "layers/ops/norm.h"
#include "layers/ops/update.h"

namespace lockstep {

// What a model computes on: its memory and its operations. The plan, the model and the optimizers put their
// work into one and know nothing else of it. `thread` names the compute thread that asks; what a thread asks
// for is done in order, and `wait` tells when. A device may be used by several models and outlives them.
//
// Pointers are into the device's memory unless said otherwise; only the device looks at what is there.
class Device : public GradientMemory {
 public:
  // Elements of a shard on a thread, for the passes of batch_norm (norm.h).
  struct Rows {
    int thread = 0;
    Element element = Element::f32;
    std::int64_t rows = 0;
    std::int64_t channels = 0;
    std::byte* scratch = nullptr;  // norm_scratch_bytes()
  };
  struct Targets {
    int thread = 0;
    std::span<const std::int32_t> labels;
    std::int64_t classes = 0;
    double smoothing = 0;
    std::int64_t global = 0;       // samples of the global batch
    std::byte* scratch = nullptr;  // loss_scratch_bytes()
  };

  // Whether its memory is the host's, so that nothing needs to be copied.
  virtual bool is_host() const = 0;
  // What the bits of a result depend on, as compute_fingerprint; of the host nothing more than that.
  virtual std::string fingerprint() const = 0;
  // Which one it is: the same text for whoever uses the same; empty for the host.
  virtual std::string identity() const = 0;
  // Free bytes of its memory, where that is its own.
  virtual std::size_t free_bytes() const = 0;

  // Zeroed, on 64 bytes at least. Throws std::bad_alloc.
  virtual std::shared_ptr<std::byte> allocate(std::size_t bytes) const = 0;
  // Between the host and the device; done when they return, but not before what thread 0 asked for.
  virtual void copy_in(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void copy_out(void* to, const void* from, std::size_t bytes) const = 0;
  // Begins a copy from the host beside what the threads are at, and, from memory of `allocate_on_host`,
  // beside the host. `from` stays as it is until what `thread` asked for behind `await_copy` is done, which
  // comes after the copy that was last begun to `to`. Any thread.
  virtual void begin_copy_in(void* to, const void* from, std::size_t bytes) const = 0;
  virtual void await_copy(const void* to, int thread) const = 0;
  // Of the host, zeroed. Throws std::bad_alloc.
  virtual std::shared_ptr<std::byte> allocate_on_host(std::size_t bytes) const = 0;
  // Called first by each thread that asks for something.
  virtual void enter() const = 0;
  // Whether all that the threads asked for is done; never blocks. Throws what went wrong.
  virtual bool done() const = 0;
  // Returns when it is.
  virtual void wait() const = 0;

  // kernels.h
  virtual std::unique_ptr<Kernel> make_convolution(const Convolution& convolution,
                                                   const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_linear(const Linear& linear, const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_pooling(const Pooling& pooling, const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_global_average_pooling(const SampleShape& in,
                                                              const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_flatten(const SampleShape& in, const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_dropout(const SampleShape& in, float probability, const Random& random,
                                               const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_relu(const SampleShape& in, const KernelShape& shape) const = 0;
  virtual std::unique_ptr<Kernel> make_add(const SampleShape& in, const KernelShape& shape) const = 0;

  // norm.h
  virtual std::size_t norm_scratch_bytes(std::int64_t rows, std::int64_t channels) const = 0;
  virtual void moments(const Rows& at, const void* x, double* moments) const = 0;
  virtual void normalize(const Rows& at, const void* x, const void* residual, bool relu,
                         const norm::Affine& affine, void* y) const = 0;
  virtual void backward_sums(const Rows& at, const void* x, const void* y, void* dy, bool relu, bool residual,
                             const norm::Affine& affine, void* residual_gradient, bool accumulate,
                             double* sums) const = 0;
  virtual void backward_apply(const Rows& at, const void* x, const void* dy, bool masked,
                              const norm::Affine& affine, const norm::GroupSums& sums, void* dx) const = 0;
  virtual void backward_frozen(const Rows& at, const void* x, const void* dy, bool masked,
                               const norm::Affine& affine, void* dx) const = 0;

  // loss/softmax_cross_entropy.h; gradient: null, or of the logits' size.
  virtual std::size_t loss_scratch_bytes(std::int64_t samples) const = 0;
  virtual void softmax_cross_entropy(const Targets& targets, const float* logits, LossSums* sums,
                                     float* gradient) const = 0;

  // elementwise.h
  virtual void add_into(int thread, Element element, void* sum, const void* addend,
                        std::int64_t count) const = 0;
  virtual void convert(int thread, const float* from, Bf16* to, std::int64_t count) const = 0;
  virtual void convert(int thread, const Bf16* from, float* to, std::int64_t count) const = 0;
  virtual void convert(int thread, const double* from, float* to, std::int64_t count) const = 0;
  // out[i] = Σ leaf[i] along the fixed tree over `leaves` ≥ 1 arrays that start `stride` floats apart.
  // `out` may be `first`. Of thread 0.
  virtual void fold_sums(const float* first, std::int64_t stride, std::int64_t leaves, std::int64_t count,
                         float* out) const = 0;

  // Of thread 0; what they answer is the host's.
  virtual double sum_of_squares(std::span<const float> values) const = 0;
  virtual bool all_finite(std::span<const float> values) const = 0;
  virtual void scale(std::span<float> values, float factor) const = 0;
  // update.h; buffer: null without momentum.
  virtual void update_sgd(float* parameters, const float* gradients, float* buffer, bool nesterov,
                          const SgdScalars& scalars, std::int64_t count) const = 0;
  virtual void update_adamw(float* parameters, const float* gradients, float* mean, float* square,
                            const AdamWScalars& scalars, std::int64_t count) const = 0;

 protected:
  // Values as what with_element visits.
  template <class E>
  static const E* as(E /*element*/, const void* values) {
    return static_cast<const E*>(values);
  }
  template <class E>
  static E* as(E /*element*/, void* values) {
    return static_cast<E*>(values);
  }
};

// This machine's processor.
const Device& host();

// The device that kernels of this shape are made for.
inline const Device& device_of(const KernelShape& shape) {
  return shape.device == nullptr ? host() : *shape.device;
}

}  // namespace lockstep
