// expect: specialise temper::Owner, as temper/adapt/ does for other libraries
#include <temper/core/view.hpp>
#include <temper/regularizer/l1.hpp>

/// A matrix whose entries are a range as well, as Armadillo's and dlib's are, without their adapter.
struct Matrix {
    double* numbers;
    long rows;
    [[nodiscard]] long nr() const { return rows; }
    [[nodiscard]] long nc() const { return 2; }
    [[nodiscard]] double* begin() const { return numbers; }
    [[nodiscard]] double* end() const { return numbers + 2 * rows; }
};

double call(const Matrix& m)
{
#ifdef TEMPER_MUST_FAIL
    return temper::L1{}(m);
#else
    return temper::L1{}(temper::view(m.numbers, {m.nr(), m.nc()}));
#endif
}
