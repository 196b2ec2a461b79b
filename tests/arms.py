"""Small arms as MJCF files, as a stranger may bring them."""

from __future__ import annotations

from pathlib import Path

LINK = '<geom size=".02" mass=".5"/>'
ARM = """<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <geom type="plane" size="1 1 1"/><light pos="0 0 2"/>
    <body name="base" pos=".5 0 .4">
      <body><joint {x} type="slide" axis="1 0 0"/>{link}
        <body><joint {y} type="slide" axis="0 1 0"/>{link}
          <body><joint {z} type="slide" axis="0 0 1"/>{link}
            <body quat="0 1 0 0"><joint {turn} axis="0 0 1"/>{link}
              <site {mark} pos="0 0 .05"/>{hand}
            </body>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
  {sections}
</mujoco>"""
PARTS = {
    "x": 'name="x" range="-.4 .4"', "y": 'name="y" range="-.5 .5"', "z": 'name="z" range="-.4 .2"',
    "turn": 'name="turn" range="-3 3"', "mark": 'name="flange"', "link": LINK, "hand": "",
    "sections": "",
}  # fmt: skip

FINGER = (
    '<body pos="0 {y} .1"><joint name="{name}" type="slide" axis="0 {way} 0" range="0 .04"'
    ' damping="5"/><geom name="{name}" type="box" size=".01 .005 .02" mass=".05"/></body>'
)
FINGERS = FINGER.format(name="left", y=0.005, way=1) + FINGER.format(name="right", y=-0.005, way=-1)
SERVO = '<position name="{name}" joint="{name}" kp="200" kv="20" ctrlrange="0 .04"/>'
SERVOS = f"<actuator>{SERVO.format(name='left')}{SERVO.format(name='right')}</actuator>"
GRIPPER = {"hand": f"<body name='hand'>{LINK}{FINGERS}</body>", "sections": SERVOS}


def write_arm(path: Path, **parts: str) -> str:
    """Write three slides and a turning flange, with other parts where named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ARM.format(**PARTS | parts))
    return str(path)
