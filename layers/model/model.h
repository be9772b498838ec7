#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/gradients/reducer.h"
#include "comm/tree/shard_layout.h"
#include "layers/model/batch.h"
#include "layers/model/running_statistics.h"
#include "layers/model/spec.h"
#include "layers/nn/parameter.h"
#include "layers/tensor/element.h"

namespace lockstep {

class Device;

struct ModelOptions {
  ModelSpec spec;
  SampleShape input;
  std::int64_t classes = 10;
  std::uint64_t seed = 1;
  std::int64_t shards = 8;
  // Batch normalization: shards that share statistics (shards: global, 1: local), and what is kept of them;
  // the first entry is the primary one, under PyTorch's buffer names. Without any the model cannot infer.
  std::int64_t statistics_group = 8;
  std::vector<RunningStatistics> running_statistics{{}};
  double eps = 1e-5;
  double label_smoothing = 0;
  // What activations and their gradients are stored in and convolutions and linear layers multiply: in
  // train_step, and everywhere else. Parameters, their gradients, statistics and all sums are not.
  Element training = Element::f32;
  Element inference = Element::f32;
  // Of a trained network that only predicts: parameters stay as they are at the first `predict` or
  // `evaluate`, and convolutions and linear layers are joined with the add and the ReLU behind them. Its bits
  // are not those of training's evaluation.
  bool deployed = false;
  // Whether the library's reference code will do where it has nothing better for a layer, which is slow and
  // warned of. false: UsageError, for benchmarks.
  bool allow_reference = true;
  // That computes; its threads are as many as `threads`. Null: this machine's processor, which alone deploys.
  std::shared_ptr<const Device> device;
  // None of these changes a bit.
  int threads = 1;
  bool fuse = true;
  bool recompute = true;
};

// Sums over a global batch, the same on every worker.
struct BatchSums {
  double loss = 0;
  double correct = 0;
  std::int64_t samples = 0;
};

// What a run will ask of a model, as far as memory depends on it. Batches in samples over all workers.
struct Workload {
  std::int64_t global = 0;           // largest training batch
  std::int64_t last = 0;             // the last of an epoch, where it is smaller
  std::int64_t evaluation = 0;       // largest batch of `evaluate`
  std::int64_t last_evaluation = 0;  // the last one, where it is smaller
  std::int64_t observed = 0;         // largest batch of `evaluate_by_batch` and `make_precise`; 0: none
  bool freezes = false;              // freeze_statistics will be called
  std::size_t optimizer_arenas = 1;  // of state
};

// Bytes of all tensors that the state of such a model has, known before there is any memory for them. Throws
// what the model's constructor throws.
std::uint64_t state_bytes(const ModelOptions& options);

// A network with its memory: layers, graph, plans, one parameter arena, gradient arenas, buffers.
class Model {
 public:
  // Parameters are 0 until `initialize`, or until a checkpoint is written over `state`.
  // Throws UsageError naming the layer and both shapes where a layer list does not fit, or ends in another
  // shape than 1x1x<classes>.
  Model(ModelOptions options, int workers, int rank);
  ~Model();
  Model(Model&&) noexcept;

  const ModelOptions& options() const;
  const ShardLayout& layout() const;
  // Whether it has a batch_norm.
  bool normalizes() const;
  // Bytes of a sample at its widest between two layers, in inference.
  std::size_t widest_bytes() const;

  // In arena order, which is the order in which backward finishes them; norm parameters whose sums are final
  // with their own exchange come last and lie outside every bucket.
  std::span<const Parameter> parameters() const;
  std::span<float> arena();      // parameters, each on 64 bytes
  std::span<float> gradients();  // of the last step, summed over the global batch; laid out alike
  // The same where it is computed with them: in the device's memory. What `arena`, `gradients` and `state`
  // give may be written too, but no longer once something is computed, or asked for here: a device has a copy
  // of its own, which is made anew from what was written there.
  const Device& device() const;
  std::span<float> device_arena();
  std::span<float> device_gradients();
  // The first parameter, from the first layer on, of which the part of an array like these is not finite;
  // empty: all are.
  std::string first_not_finite(std::span<const float> values) const;
  std::vector<Range> gradient_tensors()
      const;  // what a GradientReducer is made with: bucketed tensors, contiguous

  // Parameters and buffers by name: everything that inference needs, and all that training changes here.
  std::vector<ModelTensor> state();
  // Weights as a pure function of (seed, parameter name, element): PyTorch's default bounds, U(±1/√fan_in),
  // or the normal distribution that a parameter asks for.
  void initialize();

  // Bytes this worker needs: plans, arenas, optimizer state, what the reducer stages, and the batches that
  // are read ahead. Known before the first step, and before any of it is touched.
  std::size_t memory_bytes(const Workload& work) const;
  // The first step at whose global batch a channel of some batch_norm would have one value in a group: its
  // layer's name, or empty. `global` is the number of samples of a step.
  std::string undefined_variance(std::int64_t global) const;

  // Forward, loss, backward and gradient sums of one global batch; running statistics are updated, unless
  // frozen. Blocks on collectives. Throws DivergedError naming step and first layer where loss, statistics or
  // gradients are not finite; of gradients the first layer is the one nearest to the loss.
  BatchSums train_step(Communicator& comm, GradientReducer& reducer, const BatchInput& batch,
                       std::int64_t step);

  // From now on train_step normalizes with the first entry's running statistics, which are constants to the
  // gradient, and updates none.
  void freeze_statistics();

  // Forward in inference mode with running statistics entry `entry`; sums over all workers. Throws
  // DivergedError naming the first layer where the loss is not finite.
  BatchSums evaluate(Communicator& comm, const BatchInput& batch, std::size_t entry = 0);
  // The same, but normalized with the batch's own statistics, as training does.
  BatchSums evaluate_by_batch(Communicator& comm, const BatchInput& batch);
  // Makes the `precise` entries: a forward pass without dropout over the batches that `next` brings (null
  // after the last), whose moments are merged. Throws DivergedError where they are not finite.
  void make_precise(Communicator& comm, const std::function<const BatchInput*()>& next);
  // Logits (samples × classes) of one shard's images, in inference mode, without any communication.
  void predict(const ShardInput& shard, std::size_t entry, std::span<float> logits);

  // The plan in words: segments, operations, what is kept and recomputed, bytes a sample. For `inspect
  // --plan`.
  std::string describe_plan();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
