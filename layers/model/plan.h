#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/gradients/reducer.h"
#include "layers/model/affine_storage.h"
#include "layers/model/batch.h"
#include "layers/model/device_statistics.h"
#include "layers/model/memory_map.h"
#include "layers/model/parameter_table.h"
#include "layers/model/prepared_parameters.h"
#include "layers/model/program.h"
#include "layers/model/step_statistics.h"
#include "layers/model/thread_pool.h"
#include "layers/ops/memory.h"

namespace lockstep {

// Memory for activations: a piece a shard for what lives over synchronization points, a piece a thread for
// the rest. Plans that never run at once share it.
struct Workspace {
  std::vector<Memory> shards;
  std::vector<Memory> threads;
  Memory partials;  // own shards' parameter gradients of one segment
};

// A program made runnable: kernels for each shard size, memory, and the walk through the segments. It alone
// owns activations and runs exchanges.
class Plan {
 public:
  // A shard's logits, and where their gradient is wanted, or null. All but the number is the device's.
  struct Logits {
    std::size_t shard = 0;
    const ShardInput& input;
    int thread = 0;
    std::byte* scratch = nullptr;  // for the loss
    const float* values = nullptr;
    float* gradient = nullptr;
  };
  // Called on one of the compute threads.
  using Loss = std::function<void(const Logits& logits)>;

  struct Parts {
    const Graph& graph;
    const ParameterTable& parameters;
    const Device& device;          // computes, and has all memory that is spoken of here
    const float* arena = nullptr;  // the parameters' values
    NormParameters& norm_parameters;
    DeviceStatistics& device_statistics;
    ShardLayout layout{1, 1, 0};
    ThreadPool& pool;
    Workspace& workspace;
  };
  Plan(const Parts& parts, ProgramOptions options);

  struct Training {
    Communicator& comm;
    GradientReducer& reducer;
    StepStatistics& statistics;
    std::span<const AffineStorage> fixed;    // where the program has fixed statistics, as in `infer`
    std::span<float* const> node_gradients;  // an arena a node of the reducer
    float* gradients;                        // the summed gradients
    const BatchInput& batch;
    std::int64_t step;
  };
  // Forward, loss and backward; when it returns, `gradients` holds the sums over the global batch.
  void train(const Training& training, const Loss& loss);

  // Forward with the batch's own statistics, which are left in `statistics`.
  void observe(Communicator& comm, StepStatistics& statistics, const BatchInput& batch, const Loss& loss);

  // Forward with fixed statistics, one affine a batch_norm in the graph's order.
  void infer(std::span<const ShardInput> shards, std::span<const AffineStorage> fixed, const Loss& loss);

  // A batch whose loss was not finite, forward once more.
  struct Search {
    Communicator& comm;
    StepStatistics& statistics;
    std::span<const AffineStorage> fixed;  // as in `infer`
    const BatchInput& batch;
    std::int64_t step = 0;
  };
  // The first layer whose output is not finite on any worker; null: that of none, or of the loss alone. All
  // workers call it and hear the same.
  const Layer* first_not_finite(const Search& search);

  // Bytes for global batches of so many samples on this worker: of activations, scratch and partial
  // gradients, which plans that share a workspace share, and of what kernels hold for themselves.
  struct Bytes {
    std::size_t workspace = 0;
    std::size_t kernels = 0;
  };
  Bytes bytes(std::span<const std::int64_t> batches);

  const Program& program() const { return program_; }

 private:
  // The program for one number of samples a shard.
  struct Compiled {
    std::int64_t samples = 0;
    std::vector<std::unique_ptr<Kernel>> kernels;  // an op each; null for a batch_norm
    std::vector<std::size_t> offsets;              // of items, in the shard's or the thread's memory
    std::size_t shard_bytes = 0;
    std::size_t thread_bytes = 0;
    PreparedParameters prepared;
    bool has_run = false;
  };
  struct Run;
  class View;

  Compiled& compiled(std::int64_t samples);
  Compiled compile(std::int64_t samples) const;
  std::unique_ptr<Kernel> make_kernel(const PlanOp& op, std::int64_t samples) const;
  void prepare(Run& run);
  void prepare_segment(const Run& run, const Segment& segment);
  void run_segment(Run& run, const Segment& segment);
  int first_not_finite(Run& run, const Segment& segment);
  bool is_finite(const View& view, int item) const;
  TraceSpan traced(Trace* trace, int action, std::size_t shard, int thread) const;
  void execute(Run& run, const Action& action, std::size_t shard, int thread);
  void execute_convert(const View& view, const Action& action, int thread) const;
  void execute_kernel(Run& run, const View& view, const Action& action, std::size_t shard, int thread);
  void execute_norm(Run& run, const View& view, const Action& action, std::size_t shard, int thread);
  void add_up(const View& view, const Action& action, int thread) const;
  void meet(Run& run, const Segment& segment);
  void take_final_gradients(const Training& training, int op);
  void fold_gradients(Run& run, const Segment& segment);
  const Kernel* native_gradient(const Run& run, const Action& action) const;
  void fold_partials(const Training& training, std::size_t parameter, std::size_t offset,
                     const Kernel* native) const;
  norm::Affine affine_of(const Run& run, std::size_t norm, std::size_t shard) const;
  std::array<const float*, max_parameters> parameters(const PlanOp& op, const float* arena) const;
  bool has_partials(const Action& action) const;
  bool wants_input_gradients(const PlanOp& op) const;

  const ParameterTable& parameters_;
  const Device& device_;
  const float* arena_;
  NormParameters& norm_parameters_;
  DeviceStatistics& device_statistics_;
  ShardLayout layout_;
  ThreadPool& pool_;
  Workspace& workspace_;
  Program program_;
  int loss_action_ = 0;
  std::vector<int> norm_numbers_;  // of an op: its batch_norm's place among all; −1
  std::vector<std::size_t>
      partial_offsets_;             // of an action: its parameter gradients in its segment's partials, floats
  std::size_t partial_floats_ = 0;  // of the segment that has most
  std::map<std::int64_t, Compiled> compiled_;  // by samples
  std::vector<float> final_gradients_;         // of parameters outside every bucket
};

}  // namespace lockstep
