"""Two families that look alike: in one of them every action does the opposite."""

from toy import XML, Reach

from metarl.registry import register


@register("pair/same")
class Same(Reach):
    """The ball goes where it is pushed."""


@register("pair/opposite")
class Opposite(Reach):
    """The ball goes the other way."""

    def models(self):
        return {
            "ball": XML.replace('joint="x" ', 'joint="x" gear="-1" ').replace(
                'joint="y" ', 'joint="y" gear="-1" '
            )
        }
