#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "layers/model/model.h"
#include "trainer/config/schema.h"
#include "trainer/data/transform.h"
#include "trainer/optim/optimizer.h"

// From a configuration to the parts of a run, and what can be said about them before the first step.
namespace lockstep {

// Images and classes that a model is made for.
struct InputFacts {
  SampleShape shape;
  std::int64_t classes = 0;
};

// As given (both or neither), else measured; the transform checks that it suits the images.
InputNormalization input_normalization(
    const DataConfig& config, const Dataset& training, const Meanwhile& meanwhile = [] {});

// Throws UsageError where this processor cannot compute in it.
void require_precision(Element precision);
// The same of what the configuration trains on.
void require_precision(const Config& config);

ModelOptions model_options(const Config& config, const InputFacts& input);
// What a run under this configuration asks of its model. How many samples are trained on and evaluated: 0
// where that is not known, so that all batches count as whole.
Workload workload(const Config& config, std::int64_t training = 0, std::int64_t evaluated = 0);
// Throws UsageError, with the names that are near, where a pattern of optimizer.rules fits no parameter.
std::unique_ptr<Optimizer> make_optimizer(const Config& config, Model& model);
// How many parameters have a name that the rule's pattern fits.
std::int64_t parameters_that_fit(const OptimizerRule& rule, const Model& model);

// How gradients are summed, as comm.bucket_mib and comm.overlap have it. Collective: whether the exchange
// overlaps backward is rank 0's choice; by default it does where there is a core for every computing thread.
GradientReducer::Options reduction_options(Communicator& comm, const Config& config);

struct StepCount {
  std::int64_t per_epoch = 0;
  std::int64_t total = 0;
};
// Of a run over `samples` training samples. Throws UsageError where there would be none.
StepCount count_steps(const Config& config, std::int64_t samples);

// Whether something that happens every so many epochs (1, if neither is given) or steps, and at the end,
// happens after `step` steps.
bool is_due(const std::optional<std::int64_t>& every_epochs, const std::optional<std::int64_t>& every_steps,
            std::int64_t step, const StepCount& steps);

// Throws UsageError, naming step and layer and the remedies, where a batch_norm of the run would see a single
// value of a channel in a group, whose variance is undefined: in training, or where precise statistics are
// made.
void check_variance(const Config& config, const Model& model, std::int64_t samples, const StepCount& steps);

}  // namespace lockstep
