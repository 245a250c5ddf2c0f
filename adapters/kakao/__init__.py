"""KakaoTalk: the skill webhook, its five seconds, callbacks and parked answers."""
