package plan

import "gesalpai.ch/steady"

// rehearses says whether the rollout is a drill, which takes a release onto itself: it
// is neither tried out nor migrated to, nothing follows from it, and what is kept warm
// is the release before still.
func (b *builder) rehearses() bool { return b.in.Kind == steady.KindDrill }
