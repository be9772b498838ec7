#include "trainer/loop/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "comm/base/log.h"
#include "comm/watch/life.h"
#include "layers/ops/device.h"
#include "layers/ops/fingerprint.h"
#include "trainer/checkpoint/whole_file.h"
#include "trainer/config/keys.h"
#include "trainer/data/images/fingerprint.h"
#include "trainer/loop/agree.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/evaluate.h"
#include "trainer/loop/long_work.h"
#include "trainer/loop/memory.h"
#include "trainer/loop/skipped.h"
#include "trainer/optim/optimizer.h"

namespace lockstep {
namespace {

// The promise holds for one binary. It is read once, however many workers are threads of this process: under
// Valgrind all that open it share one position in it.
const std::string& program_digest() {
  static const std::string digest = lockstep::digest(read_whole_file("/proc/self/exe").all());
  return digest;
}

std::string describe_data(const Inputs& inputs, const Meanwhile& meanwhile) {
  const auto images = [](const Dataset* dataset, const std::string& digest) {
    return fmt::format("{} ({})", dataset != nullptr ? dataset->size() : 0, digest);
  };
  const Datasets& data = inputs.data;
  const InputNormalization& pixels = inputs.transform.normalization();
  return fmt::format("{} training, {} validation and {} test images, {}, {} classes, mean {}, deviation {}",
                     images(data.train.get(), inputs.train_digest),
                     images(data.validation.get(), content_digest(data.validation.get(), meanwhile)),
                     images(data.test.get(), content_digest(data.test.get(), meanwhile)),
                     to_string(inputs.facts().shape), inputs.facts().classes, pixels.mean, pixels.deviation);
}

// Neither a bit of the result nor the order of collectives hangs on these.
bool suits_host(const std::string& key) {
  constexpr std::array own{"run_dir", "data.path", "data.threads", "threads", "comm.backend"};
  return key.starts_with("plan.") || std::find(own.begin(), own.end(), key) != own.end();
}

// The keys that all workers must share, with their values.
Json shared_values(const Config& config) {
  Json values = Json::object();
  for (const Key& key : keys()) {
    if (!suits_host(key.path)) values[key.path] = key.write(config);
  }
  // Rank 0 reads the file, and sends it to the others where there is one.
  values["train.init_from"] = config.train.init_from.empty() ? "not set" : "set";
  return values;
}

// What the configuration alone could not tell.
void require_validation(const Config& config, const Datasets& data) {
  const bool wanted = config.checkpoint.best || config.train.early_stopping.patience > 0;
  if (!wanted || data.validation != nullptr) return;
  throw UsageError(
      fmt::format("{}: checkpoint.best and train.early_stopping need a validation split: pictures "
                  "in val beside those in test, or data.validation: 0.1",
                  config.data.path));
}

}  // namespace

std::string content_digest(const Dataset* dataset, const Meanwhile& meanwhile) {
  std::uint64_t digest = 0;
  const std::int64_t size = dataset != nullptr ? dataset->size() : 0;
  for (std::int64_t index = 0; index < size; ++index) {
    digest = dataset->hash(index, digest);
    alive();
    meanwhile();
  }
  return fmt::format("{:016x}", digest);
}

Inputs open_inputs(Communicator& comm, const Config& config) {
  comm.set_phase("data");
  std::optional<Inputs> inputs;
  std::string description;
  agree_on_long_work(comm, "data", [&](const Meanwhile& meanwhile) {
    Datasets data = open_datasets(config.data, config.seed, meanwhile);
    require_validation(config, data);
    const Dataset& training = *data.train;
    Transform transform(training.shape(), input_normalization(config.data, training, meanwhile),
                        config.data.augment, config.seed);
    const std::string digest = content_digest(&training, meanwhile);
    inputs.emplace(Inputs{std::move(data), std::move(transform), digest});
    description = describe_data(*inputs, meanwhile);
  });
  if (comm.rank() == 0) tell_skipped(inputs->data);
  const std::string differences = differing(comm, "data", description);
  if (!differences.empty()) {
    throw DataError(
        fmt::format("the workers read different data:{}\nGive all hosts the same files.", differences));
  }
  return std::move(*inputs);
}

Session::Session(Communicator& comm, const Config& config, Inputs inputs, const OpenDevice& open)
    : config_(config), inputs_(std::move(inputs)) {
  if (config.train.early_stopping.patience > 0) counters_.early_stopping.emplace();
  const std::shared_ptr<const Device> device = open_alike(comm, config, open);
  const MemoryLimit limit = memory_limit(comm, config, device.get());
  std::size_t needed = 0;
  agree(comm, "model", [&] {
    require_precision(config);
    const std::int64_t samples = inputs_.data.train->size();
    steps_ = count_steps(config, samples);
    ModelOptions options = model_options(config, inputs_.facts());
    options.device = device;
    model_.emplace(std::move(options), comm.size(), comm.rank());
    check_variance(config, *model_, samples, steps_);
    if (config.evaluation.batch_statistics) {
      check_batch_statistics(*model_, inputs_.evaluated()->size(), config.evaluation.batch);
    }
    needed = model_->memory_bytes(workload(config, samples, inputs_.evaluated()->size()));
    check_memory(needed, limit);
    optimizer_ = make_optimizer(config, *model_);
    if (config.train.weight_ema > 0) average_.emplace(model_->state(), config.train.weight_ema);
  });

  auto options = reduction_options(comm, config);
  options.memory = &model_->device();
  reducer_ = std::make_unique<GradientReducer>(comm, model_->layout(), model_->gradient_tensors(), options);

  if (comm.rank() != 0) return;
  spdlog::info(
      "{} on {} samples: {} worker(s) ({}) of {} thread(s), {} shards, batch {}, {} steps ({} an epoch)",
      config.model.name.empty() ? "layers" : config.model.name, inputs_.data.train->size(), comm.size(),
      comm.transport(), config.threads, config.batch.shards, config.batch.global, steps_.total,
      steps_.per_epoch);
  if (device) spdlog::info("trains on {}", device->fingerprint());
  spdlog::info("memory: the plan needs {} a worker; {}", readable_bytes(needed), limit.origin);
  for (const OptimizerRule& rule : config.optimizer.rules) {
    spdlog::info("optimizer.rules: '{}' fits {} of {} parameters", rule.match,
                 parameters_that_fit(rule, *model_), model_->parameters().size());
  }
  if (comm.size() > 1) spdlog::info("exchange overlaps backward: {}", options.overlap ? "yes" : "no");
}

std::optional<std::int64_t> Session::freeze_step() const {
  const std::int64_t epochs = config_.normalization.freeze_after_epochs;
  if (epochs == 0) return std::nullopt;
  return epochs * steps_.per_epoch;
}

bool Session::is_over() const {
  const auto& early = counters_.early_stopping;
  return counters_.step >= steps_.total ||
         (early && early->not_better >= config_.train.early_stopping.patience);
}

bool Session::precise_is_current() const {
  return !config_.normalization.keeps_precise() || frozen() || precise_step_ == counters_.step;
}

void Session::update_average() {
  const bool first = counters_.step - counters_.skipped == 1;
  if (average_) average_->update(model_->state(), first, frozen());
}

std::vector<ModelTensor> Session::state() {
  std::vector<ModelTensor> tensors = training_state(*model_, *optimizer_, counters_);
  if (average_) std::ranges::copy(average_->state(), std::back_inserter(tensors));
  return tensors;
}

std::vector<ModelTensor> Session::saved_state() {
  std::vector<ModelTensor> tensors = state();
  if (!precise_is_current()) std::erase_if(tensors, [](const ModelTensor& tensor) { return tensor.derived; });
  return tensors;
}

Metadata Session::metadata() const {
  Facts facts;
  facts.input = inputs_.facts();
  facts.normalization = inputs_.transform.normalization();
  facts.class_names = inputs_.data.class_names;
  facts.samples = inputs_.data.train->size();
  facts.train_digest = inputs_.train_digest;
  facts.init_digest = init_digest_;
  facts.step = counters_.step;
  facts.epoch = counters_.step / steps_.per_epoch;
  return describe(config_, facts);
}

void require_equal_hosts(Communicator& comm) {
  const std::string mine = fmt::format("{}; pictures decoded to {:016x}; program {}", compute_fingerprint(),
                                       decoders_fingerprint(), program_digest());
  const std::string differences = differing(comm, "hosts", mine);
  if (differences.empty()) return;
  throw UsageError(fmt::format(
      "the workers' hosts differ in what the bits of a result depend on:{}\nStart the job on hosts of "
      "one kind, with the same file as the program on all of them.",
      differences));
}

void require_equal_configs(Communicator& comm, const Config& config) {
  const Json mine = shared_values(config);
  std::vector<Json> all;
  for (const std::string& text : gather_texts(comm, "configuration", mine.dump())) {
    all.push_back(Json::parse(text));
  }
  std::vector<std::string> unlike;
  for (const auto& item : mine.items()) {
    const auto same = [&](const Json& other) { return other.at(item.key()) == item.value(); };
    if (std::all_of(all.begin(), all.end(), same)) continue;
    unlike.push_back(fmt::format("{}: {}", item.key(), item.value().dump()));
  }
  const std::string differences =
      differing(comm, "configuration", fmt::format("{}", fmt::join(unlike, ", ")));
  if (differences.empty()) return;
  throw UsageError(fmt::format(
      "the workers' configurations differ:{}\nGive all hosts the same configuration and the same --set.",
      differences));
}

}  // namespace lockstep
