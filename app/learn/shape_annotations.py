"""Shape annotations such as `Float[Tensor, "task shot feature"]`.

They are jaxtyping's where it is installed; the tests check every shape at run time with it. Without jaxtyping, as on a
training machine that has only torch, they are plain annotations.
"""

try:
    from jaxtyping import Bool, Float, Int
except ModuleNotFoundError:

    class _Unchecked:
        def __class_getitem__(cls, item: tuple[type, str]) -> type:
            return item[0]

    Bool = Float = Int = _Unchecked  # type: ignore[assignment]

__all__ = ["Bool", "Float", "Int"]
