#pragma once

#include <memory>
#include <optional>

#include "comm/communicator.h"
#include "comm/gradients/reducer.h"
#include "layers/model/model.h"
#include "trainer/config/schema.h"
#include "trainer/data/dataset.h"
#include "trainer/data/loader.h"
#include "trainer/loop/checkpoint.h"
#include "trainer/loop/device.h"
#include "trainer/loop/setup.h"
#include "trainer/loop/weight_average.h"
#include "trainer/optim/optimizer.h"

namespace lockstep {

// What a run reads, the same on all workers.
struct Inputs {
  Datasets data;
  Transform transform;
  std::string train_digest;  // content_digest of data.train
  // What the run is judged by: the validation split if there is one, else the test set.
  std::shared_ptr<const Dataset> evaluated() const { return data.validation ? data.validation : data.test; }
  InputFacts facts() const { return {data.train->shape(), data.train->classes()}; }
};

// Of a data set's samples (Dataset::hash), in its order; of nothing where there is none.
std::string content_digest(
    const Dataset* dataset, const Meanwhile& meanwhile = [] {});

// Opens the data, and throws the same error on all workers where one of them lacks it, or has other data.
Inputs open_inputs(Communicator& comm, const Config& config);

// What one worker brings to a training run, checked together before anything is written or changed: the run
// has steps, every channel a variance, the plan fits in memory.
class Session {
 public:
  // Collective. Throws UsageError alike on all workers, naming what would be right.
  Session(Communicator& comm, const Config& config, Inputs inputs, const OpenDevice& open = open_device);

  const Config& config() const { return config_; }
  const Inputs& inputs() const { return inputs_; }
  const StepCount& steps() const { return steps_; }
  Model& model() { return *model_; }
  Optimizer& optimizer() { return *optimizer_; }
  GradientReducer& reducer() { return *reducer_; }
  Counters& counters() { return counters_; }
  std::string& init_digest() { return init_digest_; }

  // The step after which running statistics stay as they are; none: they never do.
  std::optional<std::int64_t> freeze_step() const;
  bool frozen() const { return freeze_step() && counters_.step > *freeze_step(); }

  // Whether the run has taken its last step: of the schedule, or because early stopping ends it.
  bool is_over() const;

  // Whether `precise` running statistics, if any are kept, are those of the weights as they are now.
  bool precise_is_current() const;
  void precise_made() { precise_step_ = counters_.step; }

  // With train.weight_ema, else null.
  WeightAverage* average() { return average_ ? &*average_ : nullptr; }
  // After a step that counts.
  void update_average();

  std::vector<ModelTensor> state();
  // Of which a checkpoint holds all but `precise` statistics that are out of date.
  std::vector<ModelTensor> saved_state();
  Metadata metadata() const;

 private:
  Config config_;
  Inputs inputs_;
  StepCount steps_;
  Counters counters_;
  std::string init_digest_;                   // of the weights that the run began with
  std::optional<std::int64_t> precise_step_;  // whose weights' the `precise` statistics are
  std::optional<Model> model_;
  std::optional<WeightAverage> average_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientReducer> reducer_;
};

// Throws UsageError on all workers where their hosts differ in what the bits of a result depend on.
void require_equal_hosts(Communicator& comm);

// Throws UsageError on all workers, naming keys and hosts, where their configurations differ in more than
// what a host may have as suits it: run_dir, data.path, data.threads, threads, plan, comm.backend and the
// path of train.init_from.
void require_equal_configs(Communicator& comm, const Config& config);

}  // namespace lockstep
