#include "layers/model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "comm/base/error.h"
#include "comm/tree/exchange.h"
#include "comm/tree/fixed_tree.h"
#include "layers/loss/softmax_cross_entropy.h"
#include "layers/model/batch_on_device.h"
#include "layers/model/device_statistics.h"
#include "layers/model/graph.h"
#include "layers/model/parameter_table.h"
#include "layers/model/plan.h"
#include "layers/model/running_buffers.h"
#include "layers/model/step_statistics.h"
#include "layers/ops/device.h"
#include "layers/ops/memory.h"
#include "layers/tensor/buffer.h"
#include "layers/tensor/random.h"

namespace lockstep {

namespace {

std::vector<const BatchNorm*> norms_of(const Graph& graph) {
  std::vector<const BatchNorm*> norms;
  for (const Node& node : graph.nodes) {
    if (const auto* norm = dynamic_cast<const BatchNorm*>(node.layer.get())) norms.push_back(norm);
  }
  return norms;
}

Graph computable(Graph graph, Element element, const Device& device) {
  for (const Node& node : graph.nodes) {
    if (!device.is_host() && !node.knows_devices) {
      throw UsageError(fmt::format(
          "layer '{}' ({}): the program that brings this layer computes it on processors alone. Set "
          "device: cpu",
          node.layer->name(), node.layer->type()));
    }
    if (element == Element::f32 || node.knows_bf16) continue;
    throw UsageError(
        fmt::format("layer '{}' ({}): the program that brings this layer computes it in fp32 alone. Set "
                    "precision: fp32",
                    node.layer->name(), node.layer->type()));
  }
  return graph;
}

// Of batch_norms' parameters, in the arena.
std::vector<Range> norm_parts(const std::vector<const BatchNorm*>& norms, const ParameterTable& parameters) {
  std::vector<Range> parts;
  for (const BatchNorm* norm : norms) {
    const Range range = parameters.of(*norm);
    for (std::int64_t number = range.begin; number < range.end; ++number) {
      const Parameter& it = parameters.all()[static_cast<std::size_t>(number)];
      const auto begin = static_cast<std::int64_t>(it.offset);
      parts.push_back({begin, begin + static_cast<std::int64_t>(aligned_floats(it.count()))});
    }
  }
  return parts;
}

}  // namespace

struct Model::Impl {
  Impl(ModelOptions given, int workers, int rank)
      : options(std::move(given)),
        device(options.device ? *options.device : host()),
        layout(options.shards, workers, rank),
        graph(computable(build_graph(options.spec, options.input, options.classes, options.seed),
                         options.training, device)),
        norms(norms_of(graph)),
        parameters(graph, options.statistics_group == options.shards),
        running(norms, options.running_statistics),
        statistics(norms, layout, options.statistics_group, options.eps),
        loss_exchange(layout, options.shards),
        pool(options.threads),
        batch_there(device),
        losses(device, shards() * sizeof(LossSums)),
        norm_parameters(device, norm_parts(norms, parameters)),
        device_statistics(device, norms, shards()),
        arena(device, parameters.floats()),
        summed(device, parameters.floats()),
        training(parts(), {.fuse = options.fuse,
                           .recompute = options.recompute,
                           .element = options.training,
                           .allow_reference = options.allow_reference}),
        frozen_training(parts(), {.fixed_statistics = true,
                                  .fuse = options.fuse,
                                  .recompute = options.recompute,
                                  .element = options.training}),
        observation(parts(), {.backward = false, .fuse = options.fuse, .element = options.inference}),
        inference(parts(), {.backward = false,
                            .fixed_statistics = true,
                            .fuse = options.fuse,
                            .deployed = options.deployed,
                            .element = options.inference,
                            .allow_reference = options.allow_reference}) {
    node_gradients.push_back(summed.on_device().data());
    for (std::size_t node = 1; node < maximal_subtrees({0, options.shards}, layout.block()).size(); ++node) {
      gradient_arenas.emplace_back(device, parameters.floats() * sizeof(float));
      node_gradients.push_back(gradient_arenas.back().data<float>());
    }
  }

  std::size_t shards() const { return static_cast<std::size_t>(layout.block().size()); }

  Plan::Parts parts() {
    return {.graph = graph,
            .parameters = parameters,
            .device = device,
            .arena = arena.on_device().data(),
            .norm_parameters = norm_parameters,
            .device_statistics = device_statistics,
            .layout = layout,
            .pool = pool,
            .workspace = workspace};
  }

  BatchInput bring(const BatchInput& batch);
  Plan::Loss loss(std::int64_t global, double smoothing) const;
  BatchSums meet_loss(Communicator& comm, const BatchInput& batch);
  std::vector<AffineStorage> running_affines(std::size_t entry);
  template <class NodeIterator>
  std::string first_not_finite(std::span<const float> values, NodeIterator node, NodeIterator end) const;
  std::string why_not_finite(Plan& plan, const Plan::Search& search, const std::string& bad_layer,
                             double loss);
  void require_finite(const BatchSums& sums, Plan& plan, const Plan::Search& search);

  ModelOptions options;
  const Device& device;
  ShardLayout layout;
  Graph graph;
  std::vector<const BatchNorm*> norms;
  ParameterTable parameters;
  RunningBuffers running;
  StepStatistics statistics;
  TreeExchange loss_exchange;
  ThreadPool pool;
  Workspace workspace;
  BatchOnDevice batch_there;
  Memory losses;  // LossSums, a shard each
  NormParameters norm_parameters;
  DeviceStatistics device_statistics;
  MirroredArray arena;
  MirroredArray summed;                 // gradients: of the reducer's first node, then of all
  std::vector<Memory> gradient_arenas;  // of its other nodes
  std::vector<float*> node_gradients;
  Plan training;
  Plan frozen_training;
  Plan observation;
  Plan inference;
  bool frozen = false;
};

Model::Model(ModelOptions options, int workers, int rank)
    : impl_(std::make_unique<Impl>(std::move(options), workers, rank)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;

const ModelOptions& Model::options() const {
  return impl_->options;
}
const ShardLayout& Model::layout() const {
  return impl_->layout;
}
bool Model::normalizes() const {
  return !impl_->norms.empty();
}
std::size_t Model::widest_bytes() const {
  const auto& values = impl_->graph.values;
  const auto widest = std::ranges::max_element(values, {}, &SampleShape::elements);
  return static_cast<std::size_t>(widest->elements()) * size_of(impl_->options.inference);
}
std::span<const Parameter> Model::parameters() const {
  return impl_->parameters.all();
}
std::span<float> Model::arena() {
  return impl_->arena.on_host();
}
std::span<float> Model::gradients() {
  return impl_->summed.on_host();
}
const Device& Model::device() const {
  return impl_->device;
}
std::span<float> Model::device_arena() {
  return impl_->arena.on_device();
}
std::span<float> Model::device_gradients() {
  return impl_->summed.on_device();
}
std::vector<Range> Model::gradient_tensors() const {
  return impl_->parameters.bucketed_tensors();
}

std::vector<ModelTensor> Model::state() {
  std::vector<ModelTensor> tensors;
  for (const Parameter& parameter : parameters()) {
    tensors.push_back(
        {.name = parameter.name,
         .dtype = DType::f32,
         .dims = parameter.dims,
         .bytes = std::as_writable_bytes(arena().subspan(parameter.offset, parameter.count()))});
  }
  std::ranges::move(impl_->running.tensors(), std::back_inserter(tensors));
  return tensors;
}

void Model::initialize() {
  for (const Parameter& parameter : parameters()) {
    const std::span<float> values = arena().subspan(parameter.offset, parameter.count());
    const Random random(impl_->options.seed, "weights", parameter.name);
    const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(parameter.fan_in)));
    const auto uniform = [&](const auto& bits) { return (2.0F * Random::uniform(bits[0]) - 1.0F) * bound; };
    const auto normal = [&](const auto& bits) {
      return static_cast<float>(parameter.deviation * Random::normal(bits[0], bits[1]));
    };
    if (parameter.start) {
      std::ranges::fill(values, static_cast<float>(*parameter.start));
      continue;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = parameter.deviation > 0 ? normal(random.bits(i)) : uniform(random.bits(i));
    }
  }
  impl_->running.reset();
}

std::size_t Model::memory_bytes(const Workload& work) const {
  const ShardLayout& layout = impl_->layout;
  const std::size_t arena = impl_->parameters.floats() * sizeof(float);
  const std::size_t nodes = impl_->node_gradients.size();
  std::size_t bytes = (1 + nodes + work.optimizer_arenas) * arena;

  // The reducer packs several nodes together, and receives its slice of every worker's nodes.
  if (layout.workers() > 1) {
    std::size_t all_nodes = 0;
    for (int rank = 0; rank < layout.workers(); ++rank) {
      all_nodes += maximal_subtrees({0, layout.shards()}, layout.block(rank)).size();
    }
    bytes += (nodes > 1 ? nodes : 0) * arena + all_nodes * arena / static_cast<std::size_t>(layout.workers());
  }

  constexpr std::int64_t batches_in_memory = 2;
  const auto own_samples = [&](std::int64_t batch) {
    return layout.samples(batch, layout.block().end - 1).end -
           layout.samples(batch, layout.block().begin).begin;
  };
  const std::int64_t read_ahead =
      own_samples(work.global) + own_samples(std::max(work.evaluation, work.observed));
  bytes += static_cast<std::size_t>(batches_in_memory * read_ahead * impl_->options.input.elements()) *
           sizeof(float);

  std::size_t workspace = 0;
  const auto count = [&](Plan& plan, std::int64_t batch, std::int64_t last) {
    const Plan::Bytes needed = plan.bytes(std::array{batch, last});
    bytes += needed.kernels;
    workspace = std::max(workspace, needed.workspace);
  };
  count(impl_->training, work.global, work.last);
  count(impl_->inference, work.evaluation, work.last_evaluation);
  if (work.observed > 0) count(impl_->observation, work.observed, 0);
  if (work.freezes) count(impl_->frozen_training, work.global, work.last);
  return bytes + workspace;
}

std::string Model::undefined_variance(std::int64_t global) const {
  for (std::size_t norm = 0; norm < impl_->norms.size(); ++norm) {
    if (impl_->statistics.undefined_variance(norm, global)) return impl_->norms[norm]->name();
  }
  return "";
}

BatchInput Model::Impl::bring(const BatchInput& batch) {
  return batch.on_device ? batch : batch_there.bring(batch, options.input.elements());
}

Plan::Loss Model::Impl::loss(std::int64_t global, double smoothing) const {
  return [this, global, smoothing](const Plan::Logits& logits) {
    device.softmax_cross_entropy({.thread = logits.thread,
                                  .labels = logits.input.labels,
                                  .classes = options.classes,
                                  .smoothing = smoothing,
                                  .global = global,
                                  .scratch = logits.scratch},
                                 logits.values, losses.data<LossSums>() + logits.shard, logits.gradient);
  };
}

BatchSums Model::Impl::meet_loss(Communicator& comm, const BatchInput& batch) {
  std::vector<LossSums> shards(batch.shards.size());
  device.copy_out(shards.data(), losses.data(), shards.size() * sizeof(LossSums));
  std::vector<double> leaves;
  leaves.reserve(2 * shards.size());
  for (const LossSums& shard : shards) {
    leaves.push_back(shard.loss);
    leaves.push_back(shard.correct);
  }
  std::array<double, 2> sums{};
  loss_exchange.run(comm, "loss", layout.present(batch.global), sums.size(), leaves, sum_of(sums.size()),
                    sums);
  return {.loss = sums[0], .correct = sums[1], .samples = batch.global};
}

std::vector<AffineStorage> Model::Impl::running_affines(std::size_t entry) {
  std::vector<AffineStorage> affines;
  const float* const values = norm_parameters.bring(arena.on_device().data());
  for (std::size_t norm = 0; norm < norms.size(); ++norm) {
    const std::span<const float> mean = running.mean(entry, norm);
    const std::span<const float> variance = running.variance(entry, norm);
    const Range range = parameters.of(*norms[norm]);
    const auto parameter = [&](std::int64_t number) -> const float* {
      if (range.empty()) return nullptr;
      return values + parameters.all()[static_cast<std::size_t>(range.begin + number)].offset;
    };
    affines.emplace_back(norms[norm]->channels());
    affines.back().set(std::vector<double>(mean.begin(), mean.end()),
                       std::vector<double>(variance.begin(), variance.end()), options.eps, parameter(0),
                       parameter(1));
  }
  return affines;
}

template <class NodeIterator>
std::string Model::Impl::first_not_finite(std::span<const float> values, NodeIterator node,
                                          NodeIterator end) const {
  if (device.all_finite(values)) return "";
  for (; node != end; ++node) {
    const Range range = parameters.of(*node->layer);
    for (std::int64_t number = range.begin; number < range.end; ++number) {
      const Parameter& it = parameters.all()[static_cast<std::size_t>(number)];
      if (!device.all_finite(values.subspan(it.offset, it.count()))) return it.name;
    }
  }
  return "";
}

std::string Model::first_not_finite(std::span<const float> values) const {
  const auto& nodes = impl_->graph.nodes;
  return impl_->first_not_finite(values, nodes.begin(), nodes.end());
}

// Why a step's loss or statistics are not finite. bad_layer: the first whose statistics are not, or empty.
std::string Model::Impl::why_not_finite(Plan& plan, const Plan::Search& search, const std::string& bad_layer,
                                        double loss) {
  const Layer* const first = plan.first_not_finite(search);
  for (const Node& node : graph.nodes) {
    if (node.layer->name() == bad_layer)
      return fmt::format("the batch statistics of layer '{}' are not finite", bad_layer);
    if (node.layer.get() == first)
      return fmt::format("the output of layer '{}' is not finite, the first such layer", first->name());
  }
  return fmt::format("the loss behind the last layer, '{}', is {}", graph.nodes.back().layer->name(), loss);
}

// Of an evaluation.
void Model::Impl::require_finite(const BatchSums& sums, Plan& plan, const Plan::Search& search) {
  if (!std::isfinite(sums.loss)) throw DivergedError(why_not_finite(plan, search, "", sums.loss));
}

BatchSums Model::train_step(Communicator& comm, GradientReducer& reducer, const BatchInput& batch,
                            std::int64_t step) {
  Impl& it = *impl_;
  it.arena.on_device();
  it.summed.on_device();
  const BatchInput there = it.bring(batch);
  const std::vector<AffineStorage> fixed = it.frozen ? it.running_affines(0) : std::vector<AffineStorage>();
  Plan& plan = it.frozen ? it.frozen_training : it.training;
  plan.train({.comm = comm,
              .reducer = reducer,
              .statistics = it.statistics,
              .fixed = fixed,
              .node_gradients = it.node_gradients,
              .gradients = it.node_gradients.front(),
              .batch = there,
              .step = step},
             it.loss(batch.global, it.options.label_smoothing));
  const BatchSums sums = it.meet_loss(comm, batch);
  const bool updates = !it.frozen && !it.options.running_statistics.empty();
  const std::string bad_layer = updates ? it.statistics.update(comm, it.running) : "";

  // All of this is the same on every worker, so all of them leave together.
  if (!bad_layer.empty() || !std::isfinite(sums.loss)) {
    const Plan::Search search{
        .comm = comm, .statistics = it.statistics, .fixed = fixed, .batch = there, .step = step};
    throw DivergedError(
        fmt::format("step {}: {}", step + 1, it.why_not_finite(plan, search, bad_layer, sums.loss)));
  }
  // Gradients come from the last layer.
  const auto& nodes = it.graph.nodes;
  const std::string bad = it.first_not_finite(device_gradients(), nodes.rbegin(), nodes.rend());
  if (!bad.empty()) {
    throw DivergedError(fmt::format("step {}: the gradient of '{}' is not finite", step + 1, bad));
  }
  return sums;
}

BatchSums Model::evaluate(Communicator& comm, const BatchInput& batch, std::size_t entry) {
  Impl& it = *impl_;
  const BatchInput there = it.bring(batch);
  const std::vector<AffineStorage> fixed = it.running_affines(entry);
  it.inference.infer(there.shards, fixed, it.loss(batch.global, 0.0));
  const BatchSums sums = it.meet_loss(comm, batch);
  it.require_finite(sums, it.inference, {comm, it.statistics, fixed, there});
  return sums;
}

void Model::freeze_statistics() {
  impl_->frozen = true;
}

BatchSums Model::evaluate_by_batch(Communicator& comm, const BatchInput& batch) {
  Impl& it = *impl_;
  it.arena.on_device();
  const BatchInput there = it.bring(batch);
  it.observation.observe(comm, it.statistics, there, it.loss(batch.global, 0.0));
  const BatchSums sums = it.meet_loss(comm, batch);
  it.require_finite(sums, it.observation, {comm, it.statistics, {}, there});
  return sums;
}

void Model::make_precise(Communicator& comm, const std::function<const BatchInput*()>& next) {
  Impl& it = *impl_;
  if (it.norms.empty()) return;
  it.arena.on_device();
  PopulationMoments population(it.norms);
  std::int64_t batches = 0;
  while (const BatchInput* batch = next()) {
    it.observation.observe(comm, it.statistics, it.bring(*batch), [](const Plan::Logits&) {});
    it.statistics.add_to(comm, population);
    ++batches;
  }
  const std::string bad_layer = it.running.set_precise(population, batches);
  if (!bad_layer.empty()) {
    throw DivergedError(fmt::format("the precise statistics of layer '{}' are not finite", bad_layer));
  }
}

void Model::predict(const ShardInput& shard, std::size_t entry, std::span<float> logits) {
  Impl& it = *impl_;
  const BatchInput there = it.bring({.global = shard.samples, .shards = {shard}});
  it.inference.infer(there.shards, it.running_affines(entry), [&](const Plan::Logits& made) {
    it.device.copy_out(logits.data(), made.values, logits.size_bytes());
  });
}

std::string Model::describe_plan() {
  return describe(impl_->training.program());
}

std::uint64_t state_bytes(const ModelOptions& options) {
  const Graph graph = build_graph(options.spec, options.input, options.classes, options.seed);
  std::uint64_t bytes = 0;
  for (const Node& node : graph.nodes) {
    for (const Parameter& parameter : node.layer->parameters()) bytes += parameter.count() * sizeof(float);
  }
  for (const BatchNorm* norm : norms_of(graph)) {
    const std::uint64_t buffers = 2 * static_cast<std::uint64_t>(norm->channels()) * sizeof(float);
    bytes += options.running_statistics.size() * (buffers + sizeof(std::int64_t));
  }
  return bytes;
}

}  // namespace lockstep
