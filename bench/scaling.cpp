// SPDX-License-Identifier: BSL-1.0
// Cost and scratch memory against one extent at a time, on one thread and on two:
//
//   scaling/<component>/<type>/<axis>=<extent>/<threads>
//
// tools/bench --scaling runs these alone and plots them; the counter `scratch` is what the calling
// thread's workspace held at the end.
#include "eigen.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/layer/sinkhorn.hpp>
#include <temper/loss/distillation_kl.hpp>
#include <temper/loss/robust_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>
#include <temper/regularizer/total_variation.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/representation/info_nce.hpp>
#include <temper/representation/nt_xent.hpp>

namespace {

using namespace bench;
using temper::into;

/// While it lives, loops use so many threads.
class Threads {
  public:
    explicit Threads([[maybe_unused]] int threads)
    {
#ifdef _OPENMP
        before_ = omp_get_max_threads();
        omp_set_num_threads(threads);
#endif
    }
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;
    ~Threads()
    {
#ifdef _OPENMP
        omp_set_num_threads(before_);
#endif
    }

  private:
    [[maybe_unused]] int before_ = 1;
};

/// `make(extent)` gives a step. Extents from `first` to `last`, each twice the one before.
template <class Make>
void along(const std::string& component, const std::string& axis, Index first, Index last,
           const Make& make)
{
    for (const int threads : {1, 2})
        for (Index extent = first; extent <= last; extent *= 2) {
            const std::string name = "scaling/" + component + "/f32/" + axis + "=" +
                                     std::to_string(extent) + "/" + std::to_string(threads);
            benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
                const Threads limited(threads);
                temper::Workspace::current().release();
                auto step = make(extent);
                step();
                for ([[maybe_unused]] auto _ : state) {
                    step();
                    benchmark::ClobberMemory();
                }
                state.counters["scratch"] =
                    static_cast<double>(temper::Workspace::current().capacity());
            })->UseRealTime();
        }
}

/// A loss of two views with gradients of both.
template <class Loss>
auto pairwise(const Loss& loss, Index n, Index d)
{
    return [=, a = matrix<float>(n, d, 1), b = matrix<float>(n, d, 2), ga = Matrix<float>(n, d),
            gb = Matrix<float>(n, d)]() mutable {
        benchmark::DoNotOptimize(loss(a, b, into(ga), into(gb)));
    };
}

template <class Penalty>
auto penalty(const Penalty& penalty, Index n, Index d)
{
    return [=, w = matrix<float>(n, d, 1), g = Matrix<float>(n, d)]() mutable {
        benchmark::DoNotOptimize(penalty(w, into(g)));
    };
}

auto cross_entropy(Index n, Index k)
{
    return [z = matrix<float>(n, k, 1), y = classes(n, k, 2), g = Matrix<float>(n, k)]() mutable {
        benchmark::DoNotOptimize(temper::SoftmaxCrossEntropy{}(z, temper::labels(y), into(g)));
    };
}

auto distillation(Index n, Index k)
{
    return [s = matrix<float>(n, k, 1), t = matrix<float>(n, k, 2),
            g = Matrix<float>(n, k)]() mutable {
        const temper::DistillationKl loss{.temperature = 4};
        benchmark::DoNotOptimize(loss(s, temper::teacher_logits(t), into(g)));
    };
}

auto mixup(Index n, Index d)
{
    auto rng = temper::stream(3, 0, "bench mixup");
    return [plan = temper::Mixup<>{.alpha = 1}.draw(rng, n), x = matrix<float>(n, d, 1),
            m = Matrix<float>(n, d)]() mutable { temper::Mixup<>{}.apply(plan, x, into(m)); };
}

auto adamw(Index n)
{
    const temper::AdamW step{};
    auto w = numbers<float>(n, 1);
    auto state = step.init(w);
    return [=, g = numbers<float>(n, 2)]() mutable { step.step(state, w, g); };
}

auto sinkhorn(Index n, Index m)
{
    using Vector = Eigen::VectorXf;
    return [a = Vector(Vector::Constant(n, 1 / static_cast<float>(n))),
            b = Vector(Vector::Constant(m, 1 / static_cast<float>(m))), c = matrix<float>(n, m, 1),
            p = Matrix<float>(n, m)]() mutable {
        const temper::Sinkhorn matching{.epsilon = 0.5, .iterations = 20};
        benchmark::DoNotOptimize(matching.forward(a, b, c, into(p)));
    };
}

const bool added = [] {
    using namespace temper;
    const RobustLoss<PseudoHuber> robust{.kernel = PseudoHuber::for_entries(1)};
    along("barlow_twins", "n", 64, 4096, [](Index n) { return pairwise(BarlowTwins{}, n, 256); });
    along("barlow_twins", "d", 64, 8192, [](Index d) { return pairwise(BarlowTwins{}, 256, d); });
    along("nt_xent", "n", 64, 8192, [](Index n) { return pairwise(NtXent{}, n, 64); });
    along("nt_xent", "d", 32, 2048, [](Index d) { return pairwise(NtXent{}, 256, d); });
    along("info_nce", "n", 64, 8192, [](Index n) { return pairwise(InfoNce{}, n, 64); });
    along("softmax_cross_entropy", "n", 64, 16384, [](Index n) { return cross_entropy(n, 100); });
    along("softmax_cross_entropy", "k", 8, 32768, [](Index k) { return cross_entropy(128, k); });
    along("distillation_kl", "k", 8, 32768, [](Index k) { return distillation(128, k); });
    along("robust_loss", "n", 16, 4096, [=](Index n) { return pairwise(robust, n, 1024); });
    along("soft_orthogonality", "d", 64, 8192,
          [](Index d) { return penalty(SoftOrthogonality{}, 256, d); });
    along("group_lasso", "n", 16, 4096, [](Index n) { return penalty(GroupLasso{}, n, 1024); });
    along("total_variation", "n", 64, 4096,
          [](Index n) { return penalty(TotalVariation{}, n, 1024); });
    along("mixup", "n", 16, 4096, [](Index n) { return mixup(n, 1024); });
    along("sinkhorn", "n", 64, 2048, [](Index n) { return sinkhorn(n, 512); });
    along("adamw", "n", 1024, 4194304, [](Index n) { return adamw(n); });
    return true;
}();

} // namespace
